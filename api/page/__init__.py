"""The page at `/`: plain HTML, CSS and JavaScript modules, as the browser gets them; there is no build step."""
