"""What watches: sensors, each with a test that makes it fire and one that shows it silent."""
