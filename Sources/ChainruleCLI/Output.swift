import Chainrule
import Foundation

/// Where results and messages go.
enum Output {
  /// Writes results to standard output.
  static func write(_ text: String) throws(ChainruleError) {
    try write(Data(text.utf8))
  }

  /// Writes bytes to standard output.
  static func write(_ bytes: Data) throws(ChainruleError) {
    try write(Array(bytes), to: STDOUT_FILENO, named: "standard output")
  }

  /// Writes progress and errors to standard error. A failure to write is ignored: there is nowhere to report
  /// it.
  static func note(_ text: String) {
    try? write(Array(text.utf8), to: STDERR_FILENO, named: "standard error")
  }

  /// A sentence on standard error, whatever is in the names and cells that it cites.
  static func say(_ sentence: String) { note("chainrule: \(sentence.escaped(for: .terminal))\n") }

  /// Writes lines with text of files to standard output: as they are, unless that is a terminal.
  static func write(rows: String) throws(ChainruleError) {
    guard isatty(STDOUT_FILENO) == 1 else { return try write(rows) }
    let lines = rows.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    try write(lines.map { String($0).escaped(for: .terminal) }.joined(separator: "\n"))
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, named name: String) throws(ChainruleError)
  {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if written >= 0 {
        rest = rest.dropFirst(written)
      } else if errno != EINTR {
        throw .file(path: name, reason: String(cString: strerror(errno)))
      }
    }
  }
}

// MARK: - Numbers and tables for people

/// A number to four significant digits.
func short(_ value: Double) -> String { String(format: "%.4g", value) }

/// A fraction in percent, such as "97.5 %".
func percent(_ fraction: Double) -> String { String(format: "%.1f %%", 100 * fraction) }

/// "0.04 s", "8.1 s", "42 s", "3 min 20 s", "2 h 5 min"
func duration(_ seconds: Double) -> String {
  if seconds < 0.995 { return String(format: "%.2f s", seconds) }
  if seconds < 9.95 { return String(format: "%.1f s", seconds) }
  let whole = Int(seconds.rounded())
  return switch whole {
  case ..<60: "\(whole) s"
  case ..<3600: "\(whole / 60) min \(whole % 60) s"
  default: "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}

/// "1 epoch", "2 epochs"
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// "there is 1 feature", "there are 2 features"
func thereAre(_ count: Int, _ noun: String) -> String {
  "there \(count == 1 ? "is" : "are") \(counted(count, noun))"
}

/// Lines of a name and what it is, side by side.
func listing(_ entries: [(name: String, value: String)]) -> String {
  let width = entries.map(\.name.count).max() ?? 0
  return entries.map { name, value in
    "\(name)\(String(repeating: " ", count: width - name.count))  \(value.escaped(for: .terminal))\n"
  }.joined()
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
