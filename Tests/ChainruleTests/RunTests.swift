import Foundation
import Testing

@testable import Chainrule
@testable import ChainruleData

/// Rows of a curve, from the `start`th on.
private func rows(_ count: Int, from start: Int = 0, names: [String]? = nil) throws -> Dataset<Float> {
  let x = (start..<start + count).map { Float($0 * 37 % 101) / 50 - 1 }
  return try Dataset(
    features: x.map { [$0, $0 * $0] }, targets: x.map { [sin(3 * $0)] }, featureNames: names)
}

private func makeTrainer(
  optimizer: Optimizer = .adam(learningRate: 0.05), loss: Loss = .meanSquaredError, units: Int = 5,
  seed: UInt64 = 5,
  schedule: Schedule = .constant, regularization: Regularization = .none, accumulating: Int = 1,
  layerRates: [Int: Double] = [:], shuffles: Bool = true, threads: Int = 1
) throws -> Trainer<Float> {
  let network = try Network<Float>(inputs: 2, seed: 1) {
    Dense(units, activation: .tanh)
    Dense(1)
  }
  return try Trainer(
    network, loss: loss, optimizer: optimizer,
    options: TrainerOptions(
      schedule: schedule, regularization: regularization, accumulationSteps: accumulating,
      layerRates: layerRates, seed: seed, shuffle: shuffles, threads: threads))
}

private func parameters(_ trainer: Trainer<Float>) throws -> [[Float]] {
  try trainer.network.layers.indices.flatMap { layer in
    let p = try trainer.network.parameters(ofLayer: layer)
    return [p.weights, p.bias].compactMap { $0 }
  }
}

@Suite("Fingerprints")
struct FingerprintTests {
  /// Digits of the Python package xxhash 3: `xxhash.xxh64(data).hexdigest()`.
  @Test(
    arguments: [
      (Array("".utf8), "ef46db3751d8e999"), (Array("a".utf8), "d24ec4f1a98c6e5b"),
      (Array("abc".utf8), "44bc2cf5ad770999"), (Array("xxhash".utf8), "32dd38952c4bc720"),
      (Array("Nobody inspects the spammish repetition".utf8), "fbcea83c8a378bf1"),
      ((0..<1021).map { UInt8($0 * 7 % 256) }, "ebedb45b0d32d29d"),
      ((0..<32).map { UInt8($0) }, "cbf59c5116ff32b4"),
    ] as [([UInt8], String)])
  func `XXH64 has the digits of other implementations, in parts of any size`(bytes: [UInt8], digits: String) {
    for size in [1, 3, 31, 32, 33, 2000] {
      var hash = XXH64()
      for start in stride(from: 0, to: bytes.count, by: size) {
        bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { hash.update($0) }
      }
      #expect(hash.digits == digits, "in parts of \(size)")
    }
  }

  @Test func `each number, the order, the shape and the weights count; names do not`() throws {
    let data = try Dataset<Float>(features: [[1, 2], [3, 4]], targets: [[0], [1]])
    let others: [Dataset<Float>] = [
      try Dataset(features: [[1, 2], [3, 5]], targets: [[0], [1]]),
      try Dataset(features: [[1, 2], [3, 4]], targets: [[0], [2]]),
      try Dataset(features: [[3, 4], [1, 2]], targets: [[1], [0]]),
      try Dataset(features: [[2, 1], [4, 3]], targets: [[0], [1]]),
      try Dataset(features: [[1, 2, 3]], targets: [[4, 0, 1]]),
      try Dataset(features: [[1, 2], [3, 4]], targets: [[0], [1]], sampleWeights: [1, 1]),
      try Dataset(features: [[1, 2], [3, 4]], targets: [[0], [1]], sampleWeights: [1, 2]),
    ]
    #expect(Set(([data] + others).map(\.fingerprint)).count == 8)
    let named = try Dataset<Float>(
      features: [[1, 2], [3, 4]], targets: [[0], [1]], featureNames: ["a", "b"])
    #expect(named.fingerprint == data.fingerprint)
    #expect(
      try data.shuffled(buffer: 2, seed: 1).makeFingerprint() == data.fingerprint + ", buffer 2, seed 1")
  }

  @Test func `streamed files are known by their bytes`() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: path) }
    func fingerprint(_ text: String) throws -> String? {
      try Data(text.utf8).write(to: URL(filePath: path))
      return try CSVSource<Float>(file: path).makeFingerprint()
    }
    let first = try fingerprint("a,y\n1,0.5\n2,1.5\n")
    #expect(try first != nil && fingerprint("a,y\n1,0.5\n2,1.5\n") == first)
    #expect(try fingerprint("a,y\n1,0.5\n2,1.6\n") != first)
  }
}

@Suite("Runs and their checkpoints")
struct RunTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path

  private func train(
    _ trainer: Trainer<Float>, on data: any BatchSource<Float>, epochs: Int = 2, batchSize: Int = 8,
    validating: Dataset<Float>? = nil, patience: Int? = nil, checkpoints: Checkpoints? = nil,
    resuming: String? = nil, run: RunDescription = [:]
  ) async throws {
    func go(_ data: some BatchSource<Float>) -> Epochs<Float> {
      trainer.epochs(
        epochs, on: data, batchSize: batchSize, validating: validating, patience: patience,
        checkpoints: checkpoints,
        resuming: resuming, run: run)
    }
    for try await _ in go(data) {}
  }

  @Test func `a run resumes only from a checkpoint of the same run, and the error names each difference`()
    async throws
  {
    let checkpoints = Checkpoints(in: folder)
    let data = try rows(20, names: ["x", "x²"])
    let held = try rows(9, from: 40)
    try await train(
      makeTrainer(), on: data, validating: held, checkpoints: checkpoints, run: ["fraction": "0.2"])
    let newest = try #require(try checkpoints.newest())

    func resume(
      _ trainer: Trainer<Float>, on data: any BatchSource<Float>, batchSize: Int = 8,
      validating: Dataset<Float>?, run: RunDescription = ["fraction": "0.2"]
    ) async -> [String] {
      do {
        try await train(
          trainer, on: data, epochs: 3, batchSize: batchSize, validating: validating, resuming: newest,
          run: run)
        return []
      } catch ChainruleError.differentRun(let checkpoint, let differences) {
        #expect(checkpoint == newest)
        return differences.map(\.name)
      } catch {
        return ["\(error)"]
      }
    }
    #expect(await resume(try makeTrainer(threads: 2), on: data, validating: held) == [])
    let cases: [([String], Trainer<Float>)] = [
      (["seed"], try makeTrainer(seed: 6)), (["loss"], try makeTrainer(loss: .huber)),
      (["optimizer.learningRate"], try makeTrainer(optimizer: .adam(learningRate: 0.1))),
      (["optimizer.amsgrad"], try makeTrainer(optimizer: .adam(learningRate: 0.05, amsgrad: true))),
      (["schedule", "schedule.factor"], try makeTrainer(schedule: Schedule(.exponential(factor: 0.5)))),
      (["regularization.inputNoise"], try makeTrainer(regularization: Regularization(inputNoise: 0.1))),
      (["regularization.maxNorm"], try makeTrainer(regularization: Regularization(maxNorm: 3))),
      (["accumulation steps"], try makeTrainer(accumulating: 2)),
      (["learning rate factor of layer 2"], try makeTrainer(layerRates: [1: 0.5])),
      (["order of the rows"], try makeTrainer(shuffles: false)), (["layers"], try makeTrainer(units: 6)),
      (["seed", "accumulation steps"], try makeTrainer(seed: 8, accumulating: 3)),
    ]
    for (expected, trainer) in cases {
      let before = try parameters(trainer)
      #expect(await resume(trainer, on: data, validating: held) == expected)
      #expect(try trainer.completedEpochs == 0 && parameters(trainer) == before)
    }
    let trainer = try makeTrainer()
    #expect(await resume(trainer, on: data, batchSize: 5, validating: held) == ["batch size"])
    #expect(
      await resume(trainer, on: try rows(20, names: ["x²", "x"]), validating: held) == ["features"])
    #expect(
      await resume(trainer, on: try rows(20, from: 1, names: ["x", "x²"]), validating: held) == [
        "training data"
      ])
    #expect(
      await resume(trainer, on: try rows(21, names: ["x", "x²"]), validating: held)
        == ["training rows", "training data"])
    #expect(await resume(trainer, on: data, validating: try rows(9, from: 41)) == ["validation data"])
    #expect(await resume(trainer, on: data, validating: nil) == ["validation rows", "validation data"])
    #expect(await resume(trainer, on: data, validating: held, run: ["fraction": "0.3"]) == ["fraction"])
    #expect(await resume(trainer, on: data, validating: held, run: [:]) == ["fraction"])
    #expect(
      await resume(trainer, on: try data.shuffled(buffer: 4, seed: 1), validating: held)
        .contains("training data"))
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test(
    arguments: [
      (["seed": "1"], ["seed": "2"], "seed: 1 in the checkpoint, 2 now"),
      (["a": "x"], [:], "a: x in the checkpoint, none now"),
      ([:], ["a": "x"], "a: none in the checkpoint, x now"),
      (["f": #"["a","b"]"#], ["f": #"["a","c"]"#], #"f, number 2: "b" in the checkpoint, "c" now"#),
      (["f": #"["a","b"]"#], ["f": #"["a"]"#], "f: 2 in the checkpoint, 1 now"),
      (["é": "é"], ["é": "e\u{301}"], "é: é in the checkpoint, e\u{301} now"),
      (["a": "1", "b": "2"], ["b": "2", "a": "1"], ""),
    ] as [(RunDescription, RunDescription, String)])
  func `a difference gives both values`(saved: RunDescription, present: RunDescription, text: String) {
    #expect(present.differences(from: saved).map(\.description).joined() == text)
  }

  @Test func `a new run in a folder with checkpoints is refused, and deletes nothing`() async throws {
    let checkpoints = Checkpoints(in: folder, keeping: 1)
    let data = try rows(20)
    try await train(makeTrainer(), on: data, epochs: 9, checkpoints: checkpoints)
    let newest = try #require(try checkpoints.newest())
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    await #expect(
      throws: ChainruleError.file(
        path: folder,
        reason:
          "this folder has checkpoints of a run, the newest checkpoint-000000000027.safetensors; resume from it, "
          + "or choose another folder")
    ) { try await train(makeTrainer(seed: 7), on: data, checkpoints: checkpoints) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == names)

    // By another spelling of the folder, it is the same.
    var other = checkpoints
    other.folder = folder + "/../" + (folder as NSString).lastPathComponent
    try await train(makeTrainer(), on: data, epochs: 10, checkpoints: other, resuming: newest)
    #expect(try checkpoints.newest()?.hasSuffix("checkpoint-000000000030.safetensors") == true)
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test func `two runs do not share a folder, and the lock goes with its run`() async throws {
    let data = try rows(20)
    let checkpoints = Checkpoints(in: folder, every: .epochs(100))
    let trainer = try makeTrainer()
    for try await epoch in trainer.epochs(5, on: data, checkpoints: checkpoints) {
      guard epoch.number == 2 else { continue }
      do {
        try await train(makeTrainer(), on: data, checkpoints: checkpoints)
        Issue.record("a second run began")
      } catch ChainruleError.file(let path, let reason) {
        #expect(
          path == folder
            && reason.contains("another run is writing its checkpoints here (process \(getpid()) on "))
      }
      break
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
    // One that was killed leaves the file, and no lock.
    try Data("process 1 on elsewhere\n".utf8).write(to: URL(filePath: folder + "/.lock"))
    try await train(makeTrainer(), on: data, checkpoints: checkpoints)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
    try FileManager.default.removeItem(atPath: folder)
  }

  @Test func `a damaged newest checkpoint is passed over and reported`() async throws {
    let checkpoints = Checkpoints(in: folder)
    let data = try rows(20)
    try await train(makeTrainer(), on: data, checkpoints: checkpoints)
    let newest = try #require(try checkpoints.newest())
    var bytes = try Data(contentsOf: URL(filePath: newest))
    bytes[bytes.count - 3] ^= 1
    try bytes.write(to: URL(filePath: newest))
    var damaged: [ChainruleError] = []
    let before = try #require(try checkpoints.newest { damaged.append($0) })
    #expect(before.hasSuffix("checkpoint-000000000003.safetensors") && damaged.count == 1)
    guard case .invalidModel(newest, let reason)? = damaged.first else {
      Issue.record("\(damaged)")
      return
    }
    #expect(reason.contains("checksum"))
    // From the one before, the run ends in the same bits.
    let (resumed, whole) = (try makeTrainer(), try makeTrainer())
    try await train(resumed, on: data, checkpoints: checkpoints, resuming: before)
    try await train(whole, on: data)
    #expect(try parameters(resumed) == parameters(whole))
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      try Data("text".utf8).write(to: URL(filePath: folder + "/" + name))
    }
    #expect(throws: ChainruleError.self) { try checkpoints.newest() }
    try FileManager.default.removeItem(atPath: folder)
  }
}

@Suite("The best parameters")
struct BestParameterTests {
  /// A validation set of the other sign: the better the fit, the higher its loss, so that an early epoch is
  /// the best.
  private func opposite() throws -> Dataset<Float> {
    let held = try rows(20, from: 50)
    return try Dataset(
      features: held.features, targets: held.targets.map { -$0 }, rows: 20, inputs: 2, outputs: 1)
  }

  enum Exit: CaseIterable {
    case lastEpoch, patience, leaving, throwing, cancelling, stopping, diverging, released
  }

  @Test(arguments: Exit.allCases)
  func `are restored however the run ends`(exit: Exit) async throws {
    let held = try opposite()
    let data = try rows(30)
    let trainer = try makeTrainer()
    let seen = SeenLosses()
    let batches = exit == .stopping ? 27 : Int.max
    let epochs = trainer.epochs(
      9, on: data, batchSize: 8, validating: held, patience: exit == .patience ? 2 : 50,
      onStep: { $0.number < batches ? .proceed : .stop })
    struct Left: Error {}
    switch exit {
    case .lastEpoch, .patience, .stopping: for try await epoch in epochs { seen.add(epoch) }
    case .leaving:
      for try await epoch in epochs {
        seen.add(epoch)
        if epoch.number == 6 { break }
      }
    case .throwing:
      await #expect(throws: Left.self) {
        for try await epoch in epochs {
          seen.add(epoch)
          if epoch.number == 6 { throw Left() }
        }
      }
    case .cancelling:
      let sent = Sent(epochs: epochs)
      let task = Task {
        for try await epoch in sent.epochs {
          seen.add(epoch)
          if epoch.number == 6 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
      await #expect(throws: ChainruleError.cancelled) { try await task.value }
    case .diverging:
      await #expect(throws: ChainruleError.self) {
        for try await epoch in epochs {
          seen.add(epoch)
          if epoch.number == 6 { try trainer.setLearningRate(1e38) }
        }
      }
    case .released:
      var iterator: Epochs<Float>.Iterator? = epochs.makeAsyncIterator()
      for _ in 0..<6 { if let epoch = try await iterator?.next() { seen.add(epoch) } }
      #expect(try trainer.network.evaluate(held, loss: .meanSquaredError).loss == seen.last)
      iterator = nil
    }
    #expect(seen.best < seen.last, "the last epoch is not the best")
    #expect(try trainer.network.evaluate(held, loss: .meanSquaredError).loss == seen.best)
  }

  @Test func `stay as they are without patience`() async throws {
    let held = try opposite()
    let trainer = try makeTrainer()
    var last = 0.0
    for try await epoch in trainer.epochs(9, on: try rows(30), batchSize: 8, validating: held) {
      last = epoch.validation!.loss
      if epoch.number == 6 { break }
    }
    #expect(try trainer.network.evaluate(held, loss: .meanSquaredError).loss == last)
  }
}

/// Epochs for another task, while this one waits for it.
private struct Sent: @unchecked Sendable { let epochs: Epochs<Float> }

/// The validation losses of the epochs so far.
private final class SeenLosses: @unchecked Sendable {
  private(set) var best = Double.infinity
  private(set) var last = 0.0

  func add(_ epoch: Epoch) {
    last = epoch.validation!.loss
    best = min(best, last)
  }
}
