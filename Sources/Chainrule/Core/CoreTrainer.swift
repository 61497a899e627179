internal import CChainrule

/// Owns a trainer of the core and the network it trains. Sendable, so that it can be handed to the queue that
/// trains; ``Exclusivity`` sees to it that one call at a time is under way. `stop` may come from any thread.
final class CoreTrainer<Scalar: NetworkScalar>: @unchecked Sendable {
  let network: CoreNetwork<Scalar>
  let exclusivity: Exclusivity
  private let pointer: OpaquePointer
  private let functions: CoreFunctions<Scalar>

  init(
    _ network: Network<Scalar>, loss: Loss, optimizer: Optimizer, schedule: Schedule, batchSize: Int,
    seed: UInt64, shuffles: Bool, threads: Int, denormals: Denormals, tracing: Bool
  ) throws(ChainruleError) {
    guard 1...256 ~= threads else {
      throw .invalidArgument(message: "threads is \(threads); expected 1 to 256")
    }
    self.network = network.core
    exclusivity = network.exclusivity
    functions = network.core.functions
    var training = chainrule_training(
      loss: loss.core, optimizer: optimizer.core, batch_size: max(batchSize, 0), seed: seed,
      in_order: !shuffles, keep: tracing, threads: threads, flush_denormals: denormals == .flush,
      schedule: schedule.core)
    var pointer: OpaquePointer?
    try check { chainrule_trainer_create(network.core.pointer, &training, &pointer, &$0) }
    self.pointer = pointer!
  }

  deinit { chainrule_trainer_free(pointer) }

  var steps: Int { Int(chainrule_trainer_steps(pointer)) }
  var epochs: Int { Int(chainrule_trainer_epochs(pointer)) }

  var learningRate: Double { chainrule_trainer_learning_rate(pointer) }

  func setLearningRate(_ learningRate: Double) throws(ChainruleError) {
    try check { chainrule_trainer_set_learning_rate(pointer, learningRate, &$0) }
  }

  /// Tells a plateau the loss of an epoch.
  func observe(_ loss: Double) throws(ChainruleError) {
    try check(training: true) { chainrule_trainer_observe(pointer, loss, &$0) }
  }

  func stop() { chainrule_trainer_stop(pointer) }

  func setBatchSize(_ batchSize: Int) throws(ChainruleError) {
    try check { chainrule_trainer_set_batch_size(pointer, max(batchSize, 0), &$0) }
  }

  enum Call { case step, gradients, epoch }

  /// L, before the update for a step, averaged over the batches for an epoch.
  func callAsFunction(_ call: Call, on data: Dataset<Scalar>) throws(ChainruleError) -> Double {
    try network.checkFits(data)
    let function =
      switch call {
      case .step: functions.step
      case .gradients: functions.gradients
      case .epoch: functions.epoch
      }
    var loss = 0.0
    try check(training: true) { error in
      data.withUnsafePointers { function(pointer, $0, $1, $2, data.rows, &loss, &error) }
    }
    return loss
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
