internal import CChainrule
internal import ChainrulePlatform
import Synchronization

/// Owns a trainer of the core and the network it trains. It is Sendable so that it can be passed to the queue
/// that trains; ``Exclusivity`` permits one call at a time. Any thread may call `stop`.
final class CoreTrainer<Scalar: NetworkScalar>: @unchecked Sendable {
  let network: CoreNetwork<Scalar>
  let exclusivity: Exclusivity
  private let pointer: OpaquePointer
  private let functions: CoreFunctions<Scalar>

  private let box: LossFunctionBox<Scalar>?
  /// Set by `stop`, for a streamed epoch; for others the core has its own flag.
  private let isStopped = Atomic(false)

  /// `rates` has one factor for every layer.
  init(
    _ network: Network<Scalar>, training: chainrule_trainer_options, lossFunction: LossFunction<Scalar>?,
    rates: [Double]?
  ) throws(ChainruleError) {
    self.network = network.core
    exclusivity = network.exclusivity
    functions = network.core.functions
    box = lossFunction.map(LossFunctionBox.init)
    var training = training
    if let box {
      training.loss_function = Scalar.lossFunction
      training.loss_context = Unmanaged.passUnretained(box).toOpaque()
    }
    var pointer: OpaquePointer?
    try check { error in
      func create(_ rates: UnsafePointer<Double>?) -> chainrule_status {
        training.rates = rates
        return chainrule_trainer_create(network.core.pointer, &training, &pointer, &error)
      }
      return rates.map { $0.withUnsafeBufferPointer { create($0.baseAddress) } } ?? create(nil)
    }
    self.pointer = pointer!
  }

  deinit { chainrule_trainer_free(pointer) }

  var steps: Int { Int(chainrule_trainer_steps(pointer)) }
  var epochs: Int { Int(chainrule_trainer_epochs(pointer)) }

  var learningRate: Double { chainrule_trainer_learning_rate(pointer) }

  func setLearningRate(_ learningRate: Double) throws(ChainruleError) {
    try check { chainrule_trainer_set_learning_rate(pointer, learningRate, &$0) }
  }

  /// Reports the loss of an epoch to a plateau schedule.
  func observe(_ loss: Double) throws(ChainruleError) {
    try check(training: true) { chainrule_trainer_observe(pointer, loss, &$0) }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    chainrule_trainer_stop(pointer)
  }

  func setBatchSize(_ batchSize: Int) throws(ChainruleError) {
    try checkCount("batchSize", batchSize, atLeast: 1)
    try check { chainrule_trainer_set_batch_size(pointer, batchSize, &$0) }
  }

  enum Call { case step, gradients, epoch }

  func flush() throws(ChainruleError) {
    try check(training: true) { chainrule_trainer_flush(pointer, &$0) }
  }

  func abandonEpoch() throws(ChainruleError) {
    try check(training: true) { chainrule_trainer_abandon_epoch(pointer, &$0) }
  }

  /// Returns L of all rows or some: of a step, L before the update; of an epoch, the mean over the batches.
  func callAsFunction(
    _ call: Call, on data: Dataset<Scalar>, rows: Range<Int>? = nil
  ) throws(ChainruleError) -> Double {
    try network.checkFits(data)
    let function =
      switch call {
      case .step: functions.step
      case .gradients: functions.gradients
      case .epoch: functions.epoch
      }
    var loss = 0.0
    try check(training: true) { error in
      data.withUnsafePointers { x, y, weights in
        // The closures below would slow down an epoch of a small network.
        guard let rows else { return function(pointer, x, y, weights, data.rows, &loss, &error) }
        return function(
          pointer, x.map { $0 + rows.lowerBound * data.inputs },
          y.map { $0 + rows.lowerBound * data.outputs },
          weights.map { $0 + rows.lowerBound }, rows.count, &loss, &error)
      }
    }
    return loss
  }

  /// Trains for one epoch over the batches of a source. An epoch that was stopped resumes after its last
  /// batch. If the source fails, the epoch does not count; its updates stay, and a pending one is performed.
  func epoch(
    from source: some BatchSource<Scalar>, batchSize: Int, afterBatch: (Int) -> Void
  ) throws(ChainruleError) -> Double {
    try setBatchSize(batchSize)
    let done = Int(chainrule_trainer_rows(pointer))
    if done == 0 { try check { chainrule_trainer_begin_epoch(pointer, &$0) } }
    var loss = 0.0
    do throws(ChainruleError) {
      var batches = try source.makeBatches(of: batchSize, epoch: epochs)
      var rows = 0
      while rows < done, let batch = try batches.next() { rows += batch.rows }
      guard rows == done else {
        throw .invalidArgument(
          message:
            "epoch \(epochs + 1) was stopped after \(done) rows, where no batch of the source ends; resume it "
            + "with the same source and batches, or call abandonEpoch()")
      }
      while let batch = try batches.next() {
        if isStopped.exchange(false, ordering: .relaxed) { throw .cancelled }
        _ = try self(.step, on: batch)
        afterBatch(batch.rows)
      }
      try check(training: true) { chainrule_trainer_end_epoch(pointer, &loss, &$0) }
    } catch {
      switch error {
      case .notFinite, .cancelled: break
      default: try abandonEpoch()
      }
      throw error
    }
    return loss
  }

  /// Writes a checkpoint, with the state of a run of epochs.
  func save(best: CoreNetwork<Scalar>?, note: String?, to path: String) throws(ChainruleError) {
    try check(path: path) { chainrule_trainer_save(pointer, best?.pointer, note, path, &$0) }
  }

  /// Restores everything from a checkpoint; an earlier stop request is discarded.
  func restore(from path: String) throws(ChainruleError) -> (best: CoreNetwork<Scalar>?, note: String?) {
    var best: OpaquePointer?
    var note: UnsafeMutablePointer<CChar>?
    try check(path: path) { chainrule_trainer_restore(pointer, path, &best, &note, &$0) }
    defer { free(note) }
    return (best.map { CoreNetwork(owning: $0) }, note.map { String(cString: $0) })
  }

  /// Runs `body`; `observer` receives each batch of an epoch.
  func telling<Result>(
    _ observer: StepObserver?, _ body: () throws(ChainruleError) -> Result
  ) throws(ChainruleError) -> Result {
    guard let observer else { return try body() }
    func tell(
      _ function: (
        @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<chainrule_trainer_step>?) -> Int32
      )?
    )
      throws(ChainruleError)
    {
      let context = Unmanaged.passUnretained(observer).toOpaque()
      try check { chainrule_trainer_on_step(pointer, function, context, &$0) }
    }
    observer.stop = { [unowned self] in stop() }
    try tell { context, step in
      Unmanaged<StepObserver>.fromOpaque(context!).takeUnretainedValue().observe(step!.pointee)
      return 0
    }
    defer { try? tell(nil) }
    return try body()
  }

  func view(_ view: chainrule_view, ofLayer layer: Int, count: Int) throws(ChainruleError) -> [Scalar] {
    var values = [Scalar](repeating: 0, count: count)
    try check { error in
      values.withUnsafeMutableBufferPointer {
        functions.view(pointer, layer, view, $0.baseAddress, count, &error)
      }
    }
    return values
  }
}

/// Receives a report of each batch of an epoch, and records whether it stopped training. Used on the queue
/// that trains, and after training has finished.
final class StepObserver: @unchecked Sendable {
  private let decide: @Sendable (TrainingStep) throws -> TrainingDecision
  fileprivate var stop: () -> Void = {}
  private(set) var hasStopped = false
  /// The error that the caller's function threw, which stops training as `.stop` does.
  private(set) var failure: ChainruleError?

  init(_ decide: @escaping @Sendable (TrainingStep) throws -> TrainingDecision) { self.decide = decide }

  fileprivate func observe(_ step: chainrule_trainer_step) {
    let step = TrainingStep(
      number: Int(step.steps), rows: step.rows, loss: step.loss, learningRate: step.learning_rate)
    do throws(ChainruleError) {
      let decision = try calling("the function called after each batch") { try decide(step) }
      guard decision == .stop else { return }
    } catch {
      failure = error
    }
    hasStopped = true
    stop()
  }
}

/// A loss function as the context of the core's callback.
final class LossFunctionBox<Scalar: NetworkScalar>: Sendable {
  private let function: LossFunction<Scalar>

  init(_ function: LossFunction<Scalar>) { self.function = function }

  /// Computes the losses and the gradient.
  func call(
    rows: Int, columns: Int, outputs: UnsafeRawPointer, targets: UnsafeRawPointer,
    losses: UnsafeMutablePointer<Double>, gradient: UnsafeMutableRawPointer
  ) throws(ChainruleError) {
    let count = rows * columns
    func array(_ pointer: UnsafeRawPointer) -> [Scalar] {
      Array(UnsafeBufferPointer(start: pointer.assumingMemoryBound(to: Scalar.self), count: count))
    }
    let result = try calling("the loss function") {
      try function.body(array(outputs), array(targets), columns)
    }
    let to = UnsafeMutableBufferPointer(start: gradient.assumingMemoryBound(to: Scalar.self), count: count)
    guard result.losses.count == rows else {
      throw .shapeMismatch(what: "losses of a loss function", expected: rows, actual: result.losses.count)
    }
    guard result.gradient.count == count else {
      throw .shapeMismatch(
        what: "gradient of a loss function", expected: count, actual: result.gradient.count)
    }
    for row in 0..<rows { losses[row] = result.losses[row] }
    for index in 0..<count { to[index] = result.gradient[index] }
  }
}

extension NetworkScalar {
  /// The core's callback, whose context is a ``LossFunctionBox``.
  static var lossFunction:
    (
      @convention(c) (
        UnsafeMutableRawPointer?, Int, Int, UnsafeRawPointer?, UnsafeRawPointer?,
        UnsafeMutablePointer<Double>?,
        UnsafeMutableRawPointer?
      ) -> Int32
    )
  {
    Self.scalarType == .float32
      ? { LossFunctionBox<Float>.called($0, $1, $2, $3, $4, $5, $6) }
      : { LossFunctionBox<Double>.called($0, $1, $2, $3, $4, $5, $6) }
  }
}

extension LossFunctionBox {
  static func called(
    _ context: UnsafeMutableRawPointer?, _ rows: Int, _ columns: Int, _ outputs: UnsafeRawPointer?,
    _ targets: UnsafeRawPointer?, _ losses: UnsafeMutablePointer<Double>?,
    _ gradient: UnsafeMutableRawPointer?
  ) -> Int32 {
    CallbackFailure.keeping { () throws(ChainruleError) in
      try Unmanaged<LossFunctionBox>.fromOpaque(context!).takeUnretainedValue().call(
        rows: rows, columns: columns, outputs: outputs!, targets: targets!, losses: losses!,
        gradient: gradient!)
    }
  }
}
