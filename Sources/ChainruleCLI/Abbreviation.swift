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
