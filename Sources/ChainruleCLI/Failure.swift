import ArgumentParser
import Chainrule

extension ExitCode {
  /// What was to be read makes no sense: EX_DATAERR of sysexits.h.
  static let badData = ExitCode(65)
}

/// Why a command ends early: a sentence for standard error, and the exit status.
struct Failure: Error {
  let message: String
  let exitCode: ExitCode
}

extension Failure {
  /// Options that ask for nonsense are refused as wrong usage, a `ValidationError`; what else is refused lies in
  /// the data.
  init(_ error: ChainruleError) {
    message = "\(error)"
    exitCode =
      switch error {
      case .badData, .shapeMismatch, .notFinite, .invalidValue, .invalidArgument, .invalidModel,
        .differentRun:
        .badData
      case .invalidNetwork, .file, .outOfMemory, .callbackFailed, .busy, .cancelled: .failure
      }
  }
}

/// Refuses an option's value unless `isValid`.
func require<Value>(
  _ option: String, _ value: Value?, _ expected: String, where isValid: (Value) -> Bool
) throws(ValidationError) {
  if let value, !isValid(value) { throw ValidationError("\(option) is \(value); expected \(expected)") }
}

/// What `body` makes; what it refuses is what `option` asks for.
func asUsage<Result>(
  of option: String, _ body: () throws(ChainruleError) -> Result
) throws -> Result {
  do {
    return try body()
  } catch {
    switch error {
    case .invalidValue, .invalidArgument, .invalidNetwork: throw ValidationError("\(option): \(error)")
    default: throw error
    }
  }
}
