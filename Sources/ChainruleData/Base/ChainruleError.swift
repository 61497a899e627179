public import ChainrulePlatform

/// An error of Chainrule.
///
/// Each case has the values that were wrong and what was expected; `description` states them in one sentence.
/// in one sentence.
public enum ChainruleError: Error, Equatable, Codable, Sendable {
  /// An argument is out of its range: its name, the given value, and the accepted values.
  case invalidValue(name: String, value: String, expected: String)
  /// An argument that the core refuses, with the core's message.
  case invalidArgument(message: String)
  /// A network cannot be built as described: the layer (counted from 1; `nil` for the whole network) and the
  /// reason.
  case invalidNetwork(layer: Int?, reason: String)
  /// Two sizes that must be equal differ.
  case shapeMismatch(what: String, expected: Int, actual: Int)
  /// A number is NaN or infinite. `layer` counts from 1; `step` is the number of completed updates.
  case notFinite(quantity: String, layer: Int?, step: Int?, message: String)
  /// Data that cannot be read: the file (`nil` for memory), and the line and column, counted from 1, if
  /// known.
  case badData(file: String?, line: Int?, column: Int?, reason: String)
  /// The operating system refused to read or write a file.
  case file(path: String, reason: String)
  /// A model file that is damaged or was not written by Chainrule.
  case invalidModel(path: String, reason: String)
  /// A checkpoint of another run than the one that should resume from it, and the differences.
  case differentRun(checkpoint: String, differences: [RunDifference])
  /// Memory could not be allocated.
  case outOfMemory(message: String)
  /// A custom function, such as a loss, an activation or a callback after each batch, threw an error;
  /// `reason` is its description.
  case callbackFailed(function: String, reason: String)
  /// Another call is training the network.
  case busy
  /// The task was cancelled; the parameters are those after the last complete batch.
  case cancelled
}

extension ChainruleError: LocalizedError {
  /// The same as ``description``.
  public var errorDescription: String? { description }
}

extension ChainruleError: CustomStringConvertible {
  /// What is wrong and what was expected, in one sentence.
  public var description: String {
    switch self {
    case .invalidValue(let name, let value, let expected):
      return "\(name) is \(value); expected \(expected)"
    case .invalidNetwork(_, let reason):
      return reason  // The reason names the layer.
    case .shapeMismatch(let what, let expected, let actual):
      return "\(what): expected \(expected), got \(actual)"
    case .notFinite(_, _, _, let message), .outOfMemory(let message), .invalidArgument(let message):
      return message
    case .badData(let file, let line, let column, let reason):
      let place = [file, line.map { "line \($0)" }, column.map { "column \($0)" }]
      let prefix = place.compactMap { $0 }.joined(separator: ", ")
      return prefix.isEmpty ? reason : "\(prefix): \(reason)"
    case .file(let path, let reason), .invalidModel(let path, let reason):
      return "\(path): \(reason)"
    case .differentRun(let checkpoint, let differences):
      return "\(checkpoint): this checkpoint is of a different run, so training cannot resume from it. "
        + differences.map(\.description).joined(separator: "; ")
    case .callbackFailed(let function, let reason):
      return "\(function) failed: \(reason)"
    case .busy:
      return "the network is being trained by another call; wait for it to end, or make a Model of it first"
    case .cancelled:
      return "training was cancelled after the last whole batch"
    }
  }
}

/// Throws for an index that is not in 0 ..< `count`.
package func checkIndex(_ index: Int, within count: Int, name: String) throws(ChainruleError) {
  guard 0..<count ~= index else {
    throw .invalidValue(
      name: name, value: "\(index)",
      expected: count > 0 ? "0 … \(count - 1)" : "no index, since there are none")
  }
}

/// Throws for a number below `least`, before it reaches the core, whose sizes are unsigned.
package func checkCount(_ name: String, _ value: Int, atLeast least: Int) throws(ChainruleError) {
  guard value >= least else {
    throw .invalidValue(name: name, value: "\(value)", expected: "at least \(least)")
  }
}

/// Calls a custom function and returns its result; an error of another type becomes a `callbackFailed` that
/// quotes it.
package func calling<Result>(_ function: String, _ body: () throws -> Result) throws(ChainruleError) -> Result
{
  do {
    return try body()
  } catch let error as ChainruleError {
    throw error
  } catch {
    throw .callbackFailed(function: function, reason: "\(error)")
  }
}
