import Foundation
import Testing

@testable import Chainrule

/// Rows of a curve, the same each time.
private func rows(_ count: Int, from start: Int = 0) throws -> Dataset<Float> {
  let x = (start..<start + count).map { Float($0 * 37 % 101) / 50 - 1 }
  return try Dataset(features: x.map { [$0, $0 * $0] }, targets: x.map { [sin(3 * $0)] })
}

private func makeTrainer(seed: UInt64 = 3, of optimizer: Optimizer = .nadam(learningRate: 0.05)) throws
  -> Trainer<Float>
{
  let network = try Network<Float>(inputs: 2, seed: seed) {
    Dense(7)
    BatchNorm()
    Layer.activation(.tanh)
    Dropout(0.2)
    Dense(1)
  }
  return try Trainer(
    network, loss: .meanSquaredError, optimizer: optimizer,
    options: TrainerOptions(
      schedule: Schedule(.plateau(factor: 0.5, patience: 1)),
      regularization: Regularization(inputNoise: 0.01), accumulationSteps: 2, seed: 5))
}

private func parameters(_ trainer: Trainer<Float>) throws -> [[Float]] {
  try trainer.network.layers.indices.flatMap { layer in
    let p = try trainer.network.parameters(ofLayer: layer)
    return [p.weights, p.bias, p.gamma, p.beta, p.mean, p.variance].compactMap { $0 }
  }
}

@Suite("Checkpoints")
struct CheckpointTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path

  /// The losses of the epochs, and whether the run came to its end.
  private func run(
    _ trainer: Trainer<Float>, epochs: Int = 10, on data: some BatchSource<Float>,
    checkpoints: Checkpoints? = nil,
    resuming checkpoint: String? = nil, stoppingAfter batches: Int? = nil
  ) async throws -> [Double] {
    var losses: [Double] = []
    let counted = Batches(until: batches)
    // Of the other sign: the better the fit, the higher this loss, and patience goes back to a network of
    // before.
    let held = try rows(20, from: 50)
    let validation = try Dataset(
      features: held.features, targets: held.targets.map { -$0 }, rows: 20, inputs: 2, outputs: 1)
    let run = trainer.epochs(
      epochs, on: data, batchSize: 8, validating: validation, patience: 4, checkpoints: checkpoints,
      resuming: checkpoint, onStep: { _ in counted.next() })
    for try await epoch in run { losses.append(epoch.loss) }
    return losses
  }

  @Test func `a checkpoint is a model with the metadata of the network in training`() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (trainer, other) = (try makeTrainer(), try makeTrainer())
    try trainer.network.core.setMetadata("columns")
    try other.network.core.setMetadata("others")
    let path = folder + "/checkpoint"
    try trainer.saveCheckpoint(to: path)
    #expect(try Model<Float>(contentsOf: path).core.metadata == "columns")
    try other.restoreCheckpoint(from: path)
    #expect(other.network.core.metadata == "others")
  }

  @Test(arguments: [false, true])
  func `a run that is stopped after any batch goes on to the bits of one that is not`(isStreamed: Bool)
    async throws
  {
    let data = try rows(30)
    let source: any BatchSource<Float> = isStreamed ? try data.shuffled(buffer: 10, seed: 2) : data
    let whole = try makeTrainer()
    let losses = try await run(whole, on: source)
    #expect(losses.count < 10, "patience has its part")
    for batches in [1, 3, 4, 5, 10, 11, 17, 22, 29] {
      try? FileManager.default.removeItem(atPath: folder)
      let checkpoints = Checkpoints(in: folder, every: .steps(1), keeping: 2)
      let first = try makeTrainer()
      _ = try await run(first, on: source, checkpoints: checkpoints, stoppingAfter: batches)
      let second = try makeTrainer(seed: 9)
      let newest = try checkpoints.newest()
      let rest = try await run(second, on: source, checkpoints: checkpoints, resuming: newest)
      #expect(try parameters(second) == parameters(whole), "after \(batches) batches")
      #expect(rest == Array(losses.suffix(rest.count)))
      #expect(second.completedEpochs == whole.completedEpochs && second.steps == whole.steps)
    }
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test func `a run that had ended does not go on`() async throws {
    let data = try rows(30)
    let checkpoints = Checkpoints(in: folder)
    for try await _ in try makeTrainer().epochs(
      8, on: data, batchSize: 8, until: .loss(below: 100), checkpoints: checkpoints)
    {}
    let newest = try #require(try checkpoints.newest())
    let trainer = try makeTrainer()
    for try await _ in trainer.epochs(8, on: data, batchSize: 8, until: .loss(below: 100), resuming: newest) {
    }
    #expect(trainer.completedEpochs == 1)
    for try await _ in trainer.epochs(1, on: data, batchSize: 8, resuming: newest) {}
    #expect(trainer.completedEpochs == 1)
    for try await _ in trainer.epochs(3, on: data, batchSize: 8, resuming: newest) {}
    #expect(trainer.completedEpochs == 3)
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test func `a trainer goes to where its checkpoint was written`() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let (first, second) = (try makeTrainer(), try makeTrainer(seed: 9))
    let data = try rows(30)
    try first.epoch(on: data, batchSize: 8)
    try first.saveCheckpoint(to: folder + "/c")
    try second.restoreCheckpoint(from: folder + "/c")
    #expect(second.completedEpochs == 1 && second.steps == first.steps)
    #expect(try first.epoch(on: data, batchSize: 8) == second.epoch(on: data, batchSize: 8))
    #expect(try parameters(first) == parameters(second))
    // It is a model, too.
    try first.restoreCheckpoint(from: folder + "/c")
    let model = try Model<Float>(contentsOf: folder + "/c")
    #expect(try model.predict([0.5, 0.25]) == Model(first.network).predict([0.5, 0.25]))

    #expect(
      throws: ChainruleError.invalidArgument(
        message: "the checkpoint's optimizer is nadam; expected sgd, the trainer's")
    ) { try makeTrainer(of: .sgd()).restoreCheckpoint(from: folder + "/c") }
    try model.save(to: folder + "/m")
    #expect(
      throws: ChainruleError.invalidModel(
        path: folder + "/m", reason: "no __metadata__.training: a model, but not a checkpoint")
    ) { try second.restoreCheckpoint(from: folder + "/m") }
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test func `the newest are kept, and what a killed process left goes`() async throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // Nobody writes the first; the second is locked, as by a process that writes it.
    let left = ".chainrule-0", own = ".chainrule-1"
    for name in [left, own, "notes.txt"] {
      #expect(FileManager.default.createFile(atPath: folder + "/" + name, contents: nil))
    }
    let held = open(folder + "/" + own, O_RDWR)
    #expect(flock(held, LOCK_EX | LOCK_NB) == 0)
    defer { close(held) }
    let checkpoints = Checkpoints(in: folder, every: .epochs(2), keeping: 2)
    #expect(try checkpoints.newest() == nil)
    let trainer = try makeTrainer()
    for try await _ in trainer.epochs(7, on: try rows(30), batchSize: 8, checkpoints: checkpoints) {}
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    // Two updates an epoch; every second epoch, and at the end.
    #expect(
      names == [
        own, "checkpoint-000000000012.safetensors", "checkpoint-000000000014.safetensors", "notes.txt",
      ])
    #expect(try checkpoints.newest() == folder + "/checkpoint-000000000014.safetensors")
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test func `a checkpoint that cannot be written ends training, or is told`() async throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // A folder stands where the first checkpoint is to be.
    let name = folder + "/checkpoint-000000000002.safetensors"
    try FileManager.default.createDirectory(atPath: name, withIntermediateDirectories: false)
    let failure = ChainruleError.file(path: name, reason: "cannot write: Is a directory")
    for interval in [Checkpoints.Interval.epochs(1), .steps(2)] {
      var checkpoints = Checkpoints(in: folder, every: interval)
      let trainer = try makeTrainer()
      await #expect(throws: failure) {
        for try await _ in trainer.epochs(2, on: try rows(30), batchSize: 8, checkpoints: checkpoints) {}
      }
      #expect(trainer.steps == 2)

      checkpoints.continuesOnFailure = true
      let other = try makeTrainer()
      var failures: [ChainruleError?] = []
      for try await epoch in other.epochs(2, on: try rows(30), batchSize: 8, checkpoints: checkpoints) {
        failures.append(epoch.checkpointFailure)
      }
      #expect(failures == [failure, nil])
      try FileManager.default.removeItem(atPath: folder + "/checkpoint-000000000004.safetensors")
    }
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test(arguments: [
    ("file", "File exists"), ("file/run", "Not a directory"), ("file/run/", "Not a directory"),
    (String(repeating: "a", count: 300), "File name too long"),
  ])
  func `a folder that cannot be made is an error in the system's words`(name: String, reason: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data().write(to: URL(fileURLWithPath: folder + "/file"))
    let path = folder + "/" + name
    #expect(throws: ChainruleError.file(path: path, reason: reason)) {
      try Checkpoints(in: path).prepare(resuming: nil)
    }
  }

  @Test func `a folder that cannot be listed is an error in the system's words`() throws {
    try Data().write(to: URL(fileURLWithPath: folder))
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(throws: ChainruleError.file(path: folder, reason: "Not a directory")) {
      try Checkpoints(in: folder).newest()
    }
  }

  @Test func `an interval or a number to keep below 1 is refused`() async throws {
    let trainer = try makeTrainer()
    for checkpoints in [
      Checkpoints(in: folder, every: .epochs(0)), Checkpoints(in: folder, every: .steps(-1)),
      Checkpoints(in: folder, keeping: 0),
    ] {
      await #expect(throws: ChainruleError.self) {
        for try await _ in trainer.epochs(1, on: try rows(9), checkpoints: checkpoints) {}
      }
    }
    #expect(!FileManager.default.fileExists(atPath: folder) && trainer.steps == 0)
  }
}

/// Stops a run after so many batches.
private final class Batches: @unchecked Sendable {
  private var left: Int?
  init(until count: Int?) { left = count }
  func next() -> TrainingDecision {
    guard let count = left else { return .proceed }
    left = count - 1
    return count > 1 ? .proceed : .stop
  }
}
