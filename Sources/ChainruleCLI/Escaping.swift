/// `text` with everything escaped that could move the cursor, change colours or reverse the reading order of a terminal:
/// control and format characters, bidirectional ones included, and line separators.
///
/// It goes by Unicode scalars: "\n" for a line feed, "\t", "\r", and "\u{1B}" for any other. The joiners U+200C and
/// U+200D, which scripts and emoji need, stay.
func escapedForTerminal(_ text: String) -> String {
  var escaped = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\n": escaped += "\\n"
    case "\r": escaped += "\\r"
    case "\t": escaped += "\\t"
    case "\u{200C}", "\u{200D}": escaped.unicodeScalars.append(scalar)
    default:
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        escaped += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
  }
  return escaped
}

/// `text` in at most `width` Unicode scalars, at least 2: the middle of a longer one becomes "…".
func abbreviated(_ text: String, to width: Int) -> String {
  let scalars = Array(text.unicodeScalars)
  guard scalars.count > width else { return text }
  let tail = (width - 1) / 2
  var short = String.UnicodeScalarView()
  short.append(contentsOf: scalars.prefix(width - 1 - tail))
  short.append("…")
  short.append(contentsOf: scalars.suffix(tail))
  return String(short)
}
