import Foundation
import TestSupport
import Testing

@testable import Chainrule

private func smallNetwork(inputs: Int, outputs: Int, _ activation: Activation = .identity) throws -> Network<
  Float
> {
  try Network(inputs: inputs, seed: 5) {
    Dense(4, activation: .tanh)
    Dense(outputs, activation: activation)
  }
}

@Suite struct `An epoch over a source` {
  private func csv(rows: Int) throws -> TemporaryFile {
    var random = Random(state: 3)
    let values = random.matrix(rows, 4, scale: 1)
    return try TemporaryFile(values.map { $0.map { "\($0)" }.joined(separator: ",") }.joined(separator: "\n"))
  }

  private let options = CSVOptions(header: .no, task: .regression)

  @Test func `comes to the bits of one in memory, in order`() async throws {
    let file = try csv(rows: 53)
    let data = try Dataset<Float>(csvFile: file.path, options: options)
    let source = try CSVSource<Float>(file: file.path, options: options, chunk: 256)
    let schedule = Schedule(.exponential(factor: 0.5))
    for accumulating in [1, 3] {
      let (inMemory, streamed) = (
        try smallNetwork(inputs: 3, outputs: 1), try smallNetwork(inputs: 3, outputs: 1)
      )
      let regularization = Regularization(inputNoise: 0.1)
      let one = try Trainer(
        inMemory, loss: .meanSquaredError,
        options: TrainerOptions(
          schedule: schedule, regularization: regularization, accumulationSteps: accumulating, shuffle: false)
      )
      let other = try Trainer(
        streamed, loss: .meanSquaredError,
        options: TrainerOptions(
          schedule: schedule, regularization: regularization, accumulationSteps: accumulating))
      for _ in 0..<3 {
        #expect(try one.epoch(on: data, batchSize: 8) == other.epoch(on: source, batchSize: 8))
        #expect(try inMemory.bits == streamed.bits)
        #expect(
          (one.steps, one.completedEpochs, one.learningRate) == (
            other.steps, other.completedEpochs, other.learningRate
          ))
      }
      for try await epoch in other.epochs(2, on: source, batchSize: 8, validating: source) {
        #expect(try one.epoch(on: data, batchSize: 8) == epoch.loss)
        #expect(epoch.number == one.completedEpochs)
        let validation = try #require(epoch.validation)
        let expected = try inMemory.evaluate(data, loss: .meanSquaredError)
        #expect(abs(validation.loss - expected.loss) < 1e-12 && validation.rows == 53)
      }
      #expect(try inMemory.bits == streamed.bits)
    }
  }

  @Test func `over a data set as a source is one in order, its weights too`() throws {
    var random = Random(state: 9)
    let data = try Dataset<Double>(
      features: random.matrix(11, 3, scale: 1), targets: random.matrix(11, 2, scale: 1)
    )
    .withSampleWeights([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0.5])
    func network() throws -> Network<Double> { try Network(inputs: 3, seed: 1) { Dense(2) } }
    let (a, b) = (try network(), try network())
    let one = try Trainer(a, loss: .meanSquaredError, options: TrainerOptions(shuffle: false))
    let other = try Trainer(b, loss: .meanSquaredError)
    func epoch(_ source: some BatchSource<Double>) throws -> Double {
      try other.epoch(on: source, batchSize: 4)
    }
    #expect(try one.epoch(on: data, batchSize: 4) == epoch(data))
    #expect(try a.bits == b.bits)
  }

  @Test func `that fails does not count, and the next begins with the first row`() throws {
    let text = (0..<20).map { "\($0 % 3),\($0 % 5).5" }.joined(separator: "\n")
    let (goodFile, badFile) = (try TemporaryFile(text), try TemporaryFile(text + "\nx,1\n"))
    let good = try CSVSource<Float>(file: goodFile.path, options: options)
    let bad = try CSVSource<Float>(file: badFile.path, options: options)
    let network = try smallNetwork(inputs: 1, outputs: 1)
    let trainer = try Trainer(network, loss: .meanSquaredError)
    #expect(complaint { try trainer.epoch(on: bad, batchSize: 4) }.contains("line 21, column 1"))
    #expect((trainer.completedEpochs, trainer.steps) == (0, 5))
    try trainer.epoch(on: good, batchSize: 4)
    #expect((trainer.completedEpochs, trainer.steps) == (1, 10))
    // The core refuses a source of other sizes before it trains.
    let wideFile = try TemporaryFile("1,2,3.5\n")
    let wide = try CSVSource<Float>(file: wideFile.path, options: options)
    #expect(throws: ChainruleError.shapeMismatch(what: "the data's features", expected: 1, actual: 2)) {
      try trainer.epoch(on: wide)
    }
    #expect(throws: ChainruleError.self) { try network.evaluate(wide) }
  }

  @Test func `in which a number overflows gives the parameters of its beginning back`() throws {
    let rows = (0..<40).map { "\($0 < 30 ? "1" : "3e38"),\($0 < 30 ? "0.5" : "-3e38")" }
    let file = try TemporaryFile(rows.joined(separator: "\n"))
    let source = try CSVSource<Float>(file: file.path, options: options)
    let network = try Network<Float>(inputs: 1, seed: 2) { Dense(1) }
    let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1))
    let before = try network.bits
    #expect {
      try trainer.epoch(on: source, batchSize: 4)
    } throws: { error in
      if case ChainruleError.notFinite = error { true } else { false }
    }
    #expect(try network.bits == before)
    #expect(trainer.completedEpochs == 0)
  }

  @Test func `is stopped when its task is cancelled, and the one after it is whole`() async throws {
    let file = try csv(rows: 2000)
    let source = try CSVSource<Float>(file: file.path, options: options, chunk: 1024)
    let network = try smallNetwork(inputs: 3, outputs: 1)
    let trainer = try Trainer(network, loss: .meanSquaredError)
    // Ten batches, and no end: the next one comes when the task has been cancelled.
    struct Endless: BatchSource {
      let batch: Dataset<Float>
      let cancelled: DispatchSemaphore
      let inputs = 3
      let outputs = 1
      let rowCount: Int? = nil
      func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches {
        Batches(batch: batch, cancelled: cancelled)
      }
      struct Batches: BatchIterator {
        let batch: Dataset<Float>
        let cancelled: DispatchSemaphore
        var count = 0
        mutating func next() throws(ChainruleError) -> Dataset<Float>? {
          count += 1
          if count == 11 { cancelled.wait() }
          return batch
        }
      }
    }
    let cancelled = DispatchSemaphore(value: 0)
    let endless = Endless(batch: try Dataset(source)[rows: 0..<8], cancelled: cancelled)
    nonisolated(unsafe) let shared = trainer
    let task = Task {
      for try await _ in shared.epochs(1, on: endless, batchSize: 8) {}
    }
    while trainer.steps < 10 { try await Task.sleep(for: .milliseconds(1)) }
    task.cancel()
    cancelled.signal()
    await #expect(throws: ChainruleError.cancelled) { try await task.value }
    #expect(trainer.completedEpochs == 0)
    #expect(10...12 ~= trainer.steps)
    await #expect(throws: ChainruleError.self) {  // no batch of this source ends where the other was stopped
      for try await _ in trainer.epochs(1, on: source, batchSize: 7) {}
    }
    try trainer.abandonEpoch()
    let steps = trainer.steps
    for try await epoch in trainer.epochs(1, on: source, batchSize: 8) { #expect(epoch.number == 1) }
    #expect(trainer.steps == steps + 250)
  }

  @Test func `and an evaluation are those of the rows in memory`() throws {
    let network = try smallNetwork(inputs: 4, outputs: 3, .softmax)
    let iris = try Dataset<Float>.iris
    // Batches of 3 for the metrics to be put together from, in which classes are missing.
    struct Parts: BatchSource {
      let data: Dataset<Float>
      var inputs: Int { data.inputs }
      var outputs: Int { data.outputs }
      var rowCount: Int? { nil }
      func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> DatasetBatches<Float> {
        try data.makeBatches(of: 3, epoch: epoch)
      }
    }
    func compare(_ network: Network<Float>, _ data: Dataset<Float>) throws {
      let (found, expected) = (try network.evaluate(Parts(data: data)), try network.evaluate(data))
      #expect(found.rows == expected.rows)
      #expect(found.confusionMatrix == expected.confusionMatrix)
      let members: [KeyPath<Evaluation, Double>] = [
        \.loss, \.accuracy, \.meanAbsoluteError, \.rootMeanSquaredError, \.r2, \.explainedVariance,
        \.meanAbsolutePercentageError, \.balancedAccuracy,
      ]
      for member in members {
        let (a, b) = (found[keyPath: member], expected[keyPath: member])
        #expect(abs(a - b) <= 1e-12 * max(1, abs(b)) || a.isNaN && b.isNaN, "\(member)")
      }
      #expect(try Model(network).evaluate(Parts(data: data)) == found)
    }
    try compare(network, iris)
    try compare(
      network,
      iris.withSampleWeights((0..<150).map { Float($0 % 7) + 1 }))
    var random = Random(state: 4)
    let x: [[Float]] = random.matrix(50, 2, scale: 1).map { $0.map(Float.init) }
    let y: [[Float]] = random.matrix(50, 2, scale: 1).map { $0.map { Float($0) + 1000 } }
    try compare(try smallNetwork(inputs: 2, outputs: 2), try Dataset(features: x, targets: y))
    // 0 and 1 at first, then not: a regression.
    let turns: [[Float]] = (0..<50).map { [$0 < 48 ? Float($0 % 2) : 0.5] }
    try compare(try smallNetwork(inputs: 2, outputs: 1), try Dataset(features: x, targets: turns))
    try compare(
      try smallNetwork(inputs: 2, outputs: 1, .sigmoid),
      try Dataset(features: x, targets: turns.map { [$0[0].rounded()] }))
  }
}
