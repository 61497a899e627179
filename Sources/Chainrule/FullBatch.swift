internal import CChainrule
import Dispatch

/// A way to train on all rows at once, which knows more of the loss than one gradient.
public enum FullBatchMethod: Hashable, Sendable, CaseIterable {
  /// Levenberg-Marquardt (Levenberg 1944, Marquardt 1963, Moré 1978; with geodesic acceleration, Transtrum & Sethna 2012).
  ///
  /// For losses that are sums of squares, `halfSquaredError` and `meanSquaredError`: the best there is for small
  /// regressions. `memory` is how many bytes it may take, which are some 16 for each pair of parameters; where that is too
  /// little, it throws `ChainruleError.outOfMemory`.
  case levenbergMarquardt(memory: Int = 1 << 30)
  /// Conjugate gradients (Fletcher & Reeves 1964), restarted where gradients are not at right angles (Powell 1977).
  case fletcherReeves
  /// Conjugate gradients (Polak & Ribière 1969), restarted where their β is below 0.
  case polakRibiere
  /// BFGS of as many steps as there are parameters, or as 1 GiB holds.
  case bfgs
  /// BFGS of the last `history` steps, with the strong Wolfe conditions (Nocedal & Wright 2006).
  case lbfgs(history: Int = 10)

  /// All methods, with their default numbers.
  public static let allCases: [FullBatchMethod] = [
    .levenbergMarquardt(), .fletcherReeves, .polakRibiere, .bfgs, .lbfgs(),
  ]

  /// The method's name in the core, "levenbergMarquardt" for one.
  public var name: String { String(cString: chainrule_method_name(core)) }
  /// What it does, in ASCII.
  public var formula: String { String(cString: chainrule_method_formula(core)) }

  var core: chainrule_method {
    switch self {
    case .levenbergMarquardt: .levenbergMarquardt
    case .fletcherReeves: .fletcherReeves
    case .polakRibiere: .polakRibiere
    case .bfgs: .bfgs
    case .lbfgs: .lbfgs
    }
  }
}

/// When a full-batch run has come close enough; each is 0 or more, and without a unit: the scale of the loss does not matter.
public struct Tolerances: Hashable, Sendable {
  /// Levenberg-Marquardt ends where the cosine of the residuals and each column of their Jacobian is at most that; the other
  /// methods where max |∂L/∂p| / √L is at most that times its value at the start.
  public var gradient: Double
  /// Levenberg-Marquardt ends where ‖D Δp‖ ≤ step × ‖D p‖, D being the scale of each parameter; the other methods where
  /// |Δp| ≤ step × |p| for every p.
  public var step: Double
  /// Ends where a step lowered L by no more than loss × L.
  public var loss: Double

  /// Tolerances that are small enough for a minimum to be one in `Float`.
  public init(gradient: Double = 1e-10, step: Double = 1e-10, loss: Double = 1e-12) {
    self.gradient = gradient
    self.step = step
    self.loss = loss
  }
}

/// The best point that a full-batch run has met.
public struct Minimum: Hashable, Codable, Sendable {
  /// What ended the run.
  public enum Ending: String, Hashable, Codable, Sendable {
    /// There were as many iterations as allowed.
    case iterations
    /// The gradient is within its tolerance.
    case gradient
    /// The step was within its tolerance.
    case step
    /// The loss fell by no more than its tolerance.
    case loss
    /// No step that the method tried made the loss smaller.
    case noProgress
    /// What is called after each iteration said so.
    case stopped
  }

  /// L there.
  @Figure public private(set) var loss: Double
  /// The largest |∂L/∂p| after the last iteration.
  @Figure public private(set) var gradient: Double
  /// The number of iterations.
  public let iterations: Int
  /// How often L was computed, over all rows, with or without its derivatives.
  public let evaluations: Int
  /// What ended the run.
  public let ending: Ending

  init(_ found: chainrule_minimizer_result) {
    loss = found.loss
    gradient = found.gradient
    iterations = found.iterations
    evaluations = found.evaluations
    ending =
      switch found.ending {
      case .iterations: .iterations
      case .gradient: .gradient
      case .step: .step
      case .loss: .loss
      case .noProgress: .noProgress
      case .stop: .stopped
      }
  }
}

extension Minimum: CustomStringConvertible {
  /// One line: the loss, the effort and the ending.
  public var description: String {
    "loss \(significant(loss)) after \(iterations) iterations (\(evaluations) evaluations), ended by \(ending)"
  }
}

extension Network {
  /// Trains on all rows at once, from the parameters as they are, until a tolerance is met.
  ///
  ///     let minimum = try await network.minimize(data, loss: .meanSquaredError, method: .levenbergMarquardt())
  ///
  /// It computes in `Double`, whatever `Scalar`, and in prediction mode: a `BatchNorm` takes its running statistics and does
  /// not change them, a `Dropout` does nothing. It runs on a queue of its own. The network is left with the
  /// parameters of the smallest loss that was met, also where the task is cancelled.
  ///
  /// - Parameters:
  ///   - data: The rows to train on.
  ///   - loss: nil for the loss usual with the output layer, ``Loss/default(for:)``.
  ///   - method: The rule by which an iteration finds the next parameters.
  ///   - iterations: The most there may be.
  ///   - tolerances: What is met where the run ends before that.
  ///   - isolation: The actor that calls, which the function goes on with afterwards.
  ///   - onIteration: Called after each iteration, on that queue, with its number and the smallest loss so far; ends the
  ///     run by `.stop`.
  /// - Throws: `ChainruleError.invalidArgument` for a number out of its range, a loss that the method cannot have, or targets
  ///   that the loss cannot; `.shapeMismatch`, `.invalidNetwork`, `.notFinite`, `.outOfMemory`, `.busy`, `.cancelled`.
  @discardableResult
  public func minimize(
    _ data: Dataset<Scalar>, loss: Loss? = nil, method: FullBatchMethod, iterations: Int = 1000,
    tolerances: Tolerances = Tolerances(), isolation: isolated (any Actor)? = #isolation,
    onIteration: (@Sendable (_ iteration: Int, _ loss: Double) throws -> TrainingDecision)? = nil
  ) async throws(ChainruleError) -> Minimum {
    try exclusivity.take()
    defer { exclusivity.release() }
    try core.checkFits(data)
    let loss = loss ?? Loss.default(for: outputActivation)
    let minimizer = try CoreMinimizer(
      core, loss: loss, method: method, iterations: iterations, tolerances: tolerances,
      observer: onIteration.map(Observer.init))
    try checkMemoryForThreads()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation(isolation: isolation) { continuation in
        DispatchQueue(label: "chainrule.minimize", qos: .userInitiated).async {
          continuation.resume(
            returning: Swift.Result { () throws(ChainruleError) in try minimizer.run(on: data) })
        }
      }
    } onCancel: {
      minimizer.stop()
    }
    return try result.get()
  }
}

/// What a C function calls after an iteration; used on the queue of the run alone.
private final class Observer: @unchecked Sendable {
  let decide: @Sendable (Int, Double) throws -> TrainingDecision
  var minimizer: OpaquePointer?
  var hasStopped = false
  /// What the caller's function threw, which stops the run as `.stop` does.
  var failure: ChainruleError?

  init(_ decide: @escaping @Sendable (Int, Double) throws -> TrainingDecision) { self.decide = decide }

  func observe(_ soFar: chainrule_minimizer_result) {
    do throws(ChainruleError) {
      let decision = try calling("the function called after each iteration") {
        try decide(soFar.iterations, soFar.loss)
      }
      guard decision == .stop else { return }
    } catch {
      failure = error
    }
    hasStopped = true
    chainrule_minimizer_stop(minimizer)
  }
}

/// Owns a minimizer of the core; `stop` may come from any thread.
private final class CoreMinimizer<Scalar: NetworkScalar>: @unchecked Sendable {
  private let network: CoreNetwork<Scalar>
  private let pointer: OpaquePointer
  private let observer: Observer?

  init(
    _ network: CoreNetwork<Scalar>, loss: Loss, method: FullBatchMethod, iterations: Int,
    tolerances: Tolerances, observer: Observer?
  ) throws(ChainruleError) {
    self.network = network
    self.observer = observer
    var settings = chainrule_minimizer_options_default(method.core)
    settings.loss = loss.core
    try checkCount("iterations", iterations, atLeast: 1)
    settings.iterations = iterations
    settings.gradient_tolerance = tolerances.gradient
    settings.step_tolerance = tolerances.step
    settings.loss_tolerance = tolerances.loss
    switch method {
    case .levenbergMarquardt(let memory):
      try checkCount("memory", memory, atLeast: 0)
      settings.memory = memory
    case .lbfgs(let history):
      try checkCount("history", history, atLeast: 1)
      settings.history = history
    case .fletcherReeves, .polakRibiere, .bfgs: break
    }
    if let observer {
      settings.context = Unmanaged.passUnretained(observer).toOpaque()
      settings.progress = { context, soFar in
        guard let context, let soFar = soFar?.pointee else { return 1 }
        Unmanaged<Observer>.fromOpaque(context).takeUnretainedValue().observe(soFar)
        return 0
      }
    }
    var pointer: OpaquePointer?
    try check { chainrule_minimizer_create(network.pointer, &settings, &pointer, &$0) }
    self.pointer = pointer!
    observer?.minimizer = pointer
  }

  deinit { chainrule_minimizer_free(pointer) }

  func stop() { chainrule_minimizer_stop(pointer) }

  func run(on data: Dataset<Scalar>) throws(ChainruleError) -> Minimum {
    var found = chainrule_minimizer_result()
    do throws(ChainruleError) {
      try check { error in
        data.withUnsafePointers { network.functions.minimize(pointer, $0, $1, $2, data.rows, &found, &error) }
      }
    } catch {
      if let failure = observer?.failure { throw failure }
      guard error == .cancelled, observer?.hasStopped == true else { throw error }
    }
    return Minimum(found)
  }
}
