import Chainrule
import Foundation

/// Tells on standard error how training goes: one live line on a terminal, otherwise a line an epoch or
/// iteration.
struct Progress {
  private enum Style { case quiet, plain, live }

  private let style: Style
  /// The unit that is counted, and its largest number.
  private let unit: String
  private let total: Int
  /// Text before the unit: "", or "fold 2/5 ".
  private let prefix: String
  private var seconds = 0.0
  private var lastShown: ContinuousClock.Instant?

  init(_ unit: String, of total: Int, isQuiet: Bool, prefix: String = "") {
    self.unit = unit
    self.total = total
    self.prefix = prefix
    let isTerminal = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    style = isQuiet ? .quiet : isTerminal ? .live : .plain
  }

  mutating func show(_ epoch: Epoch) {
    let validation = epoch.validation.map { "  validation \($0)" } ?? ""
    show(epoch.number, loss: epoch.loss, details: validation, seconds: epoch.seconds)
  }

  /// The epoch or iteration of that number, which took `seconds`.
  mutating func show(_ number: Int, loss: Double, details: String = "", seconds: Double) {
    self.seconds += seconds
    let figures = "loss \(short(loss))\(details)"
    switch style {
    case .quiet: break
    case .plain: Output.note("\(prefix)\(unit) \(number)/\(total)  \(figures)\n")
    case .live:
      let now = ContinuousClock.now
      if let lastShown, now - lastShown < .milliseconds(50), number < total { return }
      lastShown = now
      Output.note("\r\(Self.clear)\(line(number, figures).prefix(Self.terminalWidth - 1))")
    }
  }

  /// Leaves the terminal as it was.
  func end() {
    if style == .live { Output.note("\r\(Self.clear)") }
  }

  private func line(_ number: Int, _ figures: String) -> String {
    let (done, width) = (Double(number) / Double(total), 20)
    let filled = Int(done * Double(width))
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    let left = seconds / Double(number) * Double(total - number)
    return
      "\(prefix)\(unit) \(number)/\(total) \(bar) \(Int(100 * done)) %  \(figures)  \(duration(left)) left"
  }

  /// Erases the line the cursor is in (ECMA-48, EL).
  private static let clear = "\u{1B}[2K"

  /// In columns; 80 where the terminal does not say.
  private static var terminalWidth: Int {
    var size = winsize()
    let known = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return known ? Int(size.ws_col) : 80
  }
}
