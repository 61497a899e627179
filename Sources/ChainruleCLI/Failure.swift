import ArgumentParser
import Chainrule

extension ExitCode {
  /// Bad data: EX_DATAERR of sysexits.h.
  static let badData = ExitCode(65)
}

/// Why a command ends early: a sentence for standard error, and the exit status.
struct Failure: Error {
  let message: String
  let exitCode: ExitCode
}

extension Failure {
  /// The exit status of an error of the library. Errors in options are `ValidationError`s; the others are
  /// errors in the data or failures.
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

/// Runs `body` and reports its errors about values as wrong usage of `option`.
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
