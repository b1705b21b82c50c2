"""What the HTML pages share: style sheet, template settings, drawings, words for numbers."""
