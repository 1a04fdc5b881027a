// What is wrong with a page for those who cannot see it, or see it less well: one line each.
() => {
  const wrong = [];
  const say = (rule, element) => wrong.push(`${rule}: ${element.outerHTML.slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const named = (element) => {
    const ids = (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
    const told = ids.map((id) => document.getElementById(id)?.textContent ?? "").join("");
    return (element.getAttribute("aria-label") || told || "").trim();
  };

  if (!document.documentElement.lang || !document.title) wrong.push("the page has no language or no title");
  for (const [selector, number] of [["main", 1], ["body > header", 1], ["body > footer", 1], ["h1", 1]]) {
    if (all(selector).length !== number) wrong.push(`${selector}: ${all(selector).length}`);
  }
  all("nav, section, article, [role=region], [role=group]").filter((e) => !named(e)).forEach((e) => say("no name", e));
  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, index) => ids.indexOf(id) !== index).forEach((id) => wrong.push(`id twice: ${id}`));
  for (const attribute of ["aria-labelledby", "aria-describedby", "for", "list"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) say(`${attribute} leads nowhere`, element);
      }
    }
  }
  all("img, svg").filter((element) => !element.closest("[aria-hidden=true]") && !element.closest("a")
    && !(["img", "group"].includes(element.getAttribute("role")) && named(element))).forEach((e) => say("no text", e));
  all("input, select, textarea").filter((e) => !e.labels?.length && !named(e)).forEach((e) => say("no label", e));
  all("a[href], button, summary").filter((e) => !(named(e) || e.textContent.trim())).forEach((e) => say("no name", e));
  all("a[href^='#']").filter((e) => !document.getElementById(e.getAttribute("href").slice(1)))
    .forEach((e) => say("leads nowhere", e));
  all("table").filter((e) => !e.caption && !named(e)).forEach((e) => say("no caption", e));
  all("th").filter((e) => !e.scope).forEach((e) => say("no scope", e));
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) say(`from h${level} to h${own}`, heading);
    level = own;
  }
  all("[tabindex]").filter((e) => e.tabIndex > 0).forEach((e) => say("an order of its own", e));
  for (const box of all(".scroll")) {
    if (visible(box) && box.scrollWidth > box.clientWidth && box.tabIndex !== 0) say("cannot be scrolled by keys", box);
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(element) || element.closest("svg, script, style") || !visible(element)) continue;
    seen.add(element);
    const style = getComputedStyle(element), behind = [];
    for (let each = element; each; each = each.parentElement) behind.unshift(getComputedStyle(each).backgroundColor);
    const [one, other] = [pixel(...behind, style.color), pixel(...behind)].map(luminance).sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < (large ? 3 : 4.5)) say(`contrast ${contrast.toFixed(2)}`, element);
  }
  if (seen.size < 50) wrong.push(`only ${seen.size} texts were looked at`);
  return wrong;
}
