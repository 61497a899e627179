// Calls of the C core: statuses become typed errors, names become values.

internal import CChainrule
internal import ChainrulePlatform
import Synchronization

/// Runs a call of the core; throws the error of its status. CHAINRULE_STOPPED throws `cancelled`, and a
/// failed callback throws the error that it kept.
///
/// `path` is the path of the file that the call reads or writes. `training` means that a number that is NaN
/// or infinite arose in a step.
func check(
  path: String = "", training: Bool = false, _ call: (inout chainrule_error) -> chainrule_status
) throws(ChainruleError) {
  try checkPath(path)
  var error = chainrule_error()
  let status = call(&error)
  if status != .ok { throw ChainruleError(status, error, path: path, training: training) }
}

/// The error of a callback, kept until the core's call returns. The core calls back in the thread that called
/// it. Each thread keeps its own error, because others may use the same network and the same functions at the
/// same time.
enum CallbackFailure {
  private static let kept = Mutex<[UInt: ChainruleError]>([:])

  /// The current thread; depending on the system, a number or a pointer.
  private static var thread: UInt {
    #if canImport(Glibc)
      pthread_self()
    #else
      UInt(bitPattern: pthread_self())
    #endif
  }

  /// Runs `body` with the result of a callback of the core: 0, or 1 if it threw.
  static func keeping(_ body: () throws(ChainruleError) -> Void) -> Int32 {
    do throws(ChainruleError) {
      try body()
      return 0
    } catch {
      kept.withLock { $0[thread] = error }
      return 1
    }
  }

  /// Removes and returns the error that a callback in this thread kept.
  fileprivate static func take() -> ChainruleError? { kept.withLock { $0.removeValue(forKey: thread) } }
}

extension ChainruleError {
  init(_ status: chainrule_status, _ error: chainrule_error, path: String, training: Bool) {
    let message = withUnsafeBytes(of: error.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let layer = error.layer == 0 ? nil : error.layer
    switch status {
    case .invalidNetwork: self = .invalidNetwork(layer: layer, reason: message)
    case .notFinite:
      // "layer 2, weights: NaN after step 137" is about the weights.
      let place = message.prefix { $0 != ":" }
      let quantity = layer.map { place.trimmingPrefix("layer \($0), ") } ?? place
      self = .notFinite(
        quantity: String(quantity), layer: layer, step: training ? Int(error.step) : nil, message: message)
    case .outOfMemory: self = .outOfMemory(message: message)
    case .stopped: self = .cancelled
    case .fileFailed: self = .file(path: path, reason: message)
    case .invalidFile: self = .invalidModel(path: path, reason: message)
    case .callbackFailed: self = CallbackFailure.take() ?? .invalidArgument(message: message)
    case .ok, .invalidArgument, .shapeMismatch: self = .invalidArgument(message: message)
    }
  }
}

/// Returns the core's value for a Swift case. The names on both sides come from one catalogue, so a missing
/// name is an error in this package.
func coreValue<Value>(
  named name: String, _ initial: Value,
  _ find: (UnsafePointer<CChar>?, UnsafeMutablePointer<Value>?, UnsafeMutablePointer<chainrule_error>?) ->
    chainrule_status
) -> Value {
  var value = initial
  let status = find(name, &value, nil)
  precondition(status == .ok, "\(name) is not in the core's catalogue")
  return value
}
