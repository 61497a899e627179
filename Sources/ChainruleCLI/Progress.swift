import Chainrule
import Foundation

/// Tells on standard error how training goes: one live line on a terminal, otherwise a line an epoch.
struct Progress {
  private enum Style { case quiet, plain, live }

  private let style: Style
  private let epochs: Int
  /// What stands before "epoch": nothing, or "fold 2/5 ".
  private let prefix: String
  private var seconds = 0.0
  private var lastShown: ContinuousClock.Instant?

  init(epochs: Int, isQuiet: Bool, prefix: String = "") {
    self.epochs = epochs
    self.prefix = prefix
    let isTerminal = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    style = isQuiet ? .quiet : isTerminal ? .live : .plain
  }

  mutating func show(_ epoch: Epoch) {
    seconds += epoch.seconds
    switch style {
    case .quiet: break
    case .plain: Output.note("\(prefix)epoch \(epoch.number)/\(epochs)  \(figures(epoch))\n")
    case .live:
      let now = ContinuousClock.now
      if let lastShown, now - lastShown < .milliseconds(50), epoch.number < epochs { return }
      lastShown = now
      Output.note("\r\(Self.clear)\(line(epoch).prefix(Self.terminalWidth - 1))")
    }
  }

  /// Leaves the terminal as it was.
  func end() {
    if style == .live { Output.note("\r\(Self.clear)") }
  }

  private func figures(_ epoch: Epoch) -> String {
    "loss \(short(epoch.loss))" + (epoch.validation.map { "  validation \($0)" } ?? "")
  }

  private func line(_ epoch: Epoch) -> String {
    let (done, width) = (Double(epoch.number) / Double(epochs), 20)
    let filled = Int(done * Double(width))
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    let left = seconds / Double(epoch.number) * Double(epochs - epoch.number)
    return
      "\(prefix)epoch \(epoch.number)/\(epochs) \(bar) \(Int(100 * done)) %  \(figures(epoch))  \(duration(left)) left"
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
