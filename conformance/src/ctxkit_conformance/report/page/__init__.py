"""The parts of the HTML page; page.html, page.css and page.js beside these modules are put into it as they are."""
