import Chainrule
import Foundation
import Synchronization
import Testing

/// What a caller gets wrong ends in an error that names it; nothing traps.
@Suite struct `A call with wrong numbers` {
  private let network: Network<Float>
  private let data: Dataset<Float>

  init() throws {
    network = try Network(inputs: 2, seed: 1) {
      Dense(3, activation: .tanh)
      Activation.relu
      Dense(1)
    }
    data = try Dataset(features: [[0, 1], [1, 0], [2, 2]], targets: [[1], [2], [3]])
  }

  private func expect(
    _ name: String, _ value: String, _ expected: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ call: () throws -> Void
  ) {
    #expect(
      throws: ChainruleError.invalidValue(name: name, value: value, expected: expected),
      sourceLocation: sourceLocation, performing: call)
  }

  @Test func `counts what is negative as it is given`() async throws {
    let trainer = try Trainer(network, loss: .meanSquaredError)
    for count in [0, -1, Int.min] {
      expect("batchSize", "\(count)", "at least 1") { try trainer.epoch(on: data, batchSize: count) }
      expect("batchSize", "\(count)", "at least 1") { try trainer.partialFit(data, batchSize: count) }
      expect("batchSize", "\(count)", "at least 1") { _ = try data.makeBatches(of: count) }
    }
    #expect(
      throws: ChainruleError.invalidNetwork(
        layer: 2, reason: "layer 2, residual: span is -1; expected 1 to 1, the layers before it")
    ) { try Network<Float>(inputs: 2, layers: [.dense(Dense(2)), .residual(span: -1)]) }
    for (method, name) in [(FullBatchMethod.lbfgs(history: -3), "history")] {
      await #expect(
        throws: ChainruleError.invalidValue(name: name, value: "-3", expected: "at least 1")
      ) { try await network.minimize(data, method: method) }
    }
    await #expect(
      throws: ChainruleError.invalidValue(name: "memory", value: "-1", expected: "at least 0")
    ) { try await network.minimize(data, method: .levenbergMarquardt(memory: -1)) }
    await #expect(
      throws: ChainruleError.invalidValue(name: "iterations", value: "-1", expected: "at least 1")
    ) { try await network.minimize(data, method: .bfgs, iterations: -1) }
  }

  @Test(arguments: [-1, 3, Int.max])
  func `asks for a class, a label or a fold that is not there`(label: Int) throws {
    let iris = try Dataset<Float>.iris
    let classifier = try Network<Float>(inputs: 4, seed: 1) { Dense(3, activation: .softmax) }
    let report = try Model(classifier).report(on: iris)
    let matrix = try #require(report.evaluation.confusionMatrix)
    let scores = try #require(report.classScores)
    let metrics: [() throws -> Void] = [
      { _ = try matrix.support(of: label) }, { _ = try matrix.predictions(of: label) },
      { _ = try matrix.recall(of: label) }, { _ = try matrix.precision(of: label) },
      { _ = try matrix.f1(of: label) }, { _ = try scores.areaUnderROC(of: label) },
    ]
    for metric in metrics { expect("the class", "\(label)", "0 … 2", metric) }

    let tags = try Dataset<Float>(features: [[1, 0], [0, 1]], targets: [[1, 0, 1], [0, 1, 1]])
    let tagger = try Network<Float>(inputs: 2, seed: 1) { Dense(3, activation: .sigmoid) }
    let tagged = try Model(tagger).report(on: tags)
    let labels = try #require(tagged.evaluation.multilabel)
    let areas = try #require(tagged.labelScores)
    let ofLabels: [() throws -> Void] = [
      { _ = try labels.support(of: label) }, { _ = try labels.predictions(of: label) },
      { _ = try labels.recall(of: label) }, { _ = try labels.precision(of: label) },
      { _ = try labels.f1(of: label) }, { _ = try areas.areaUnderROC(of: label) },
    ]
    for metric in ofLabels { expect("the label", "\(label)", "0 … 2", metric) }

    let folds = try iris.folds(3, seed: 1)
    expect("the fold", "\(label)", "0 … 2") { _ = try folds.trainingRows(ofFold: label) }
    expect("the fold", "\(label)", "0 … 2") { _ = try folds.validationRows(ofFold: label) }
    let table = try CSVTable(bytes: Array("a,b\n1,2\n3,4\n5,6\n".utf8), options: .anyTable())
    expect("the row", "\(label)", "0 … 2") { _ = try FeatureEncoding(fitting: table, valuesOf: [0, label]) }
  }

  /// A source whose batches are not what it says.
  private struct Liar: BatchSource {
    let batch: Dataset<Float>
    let inputs, outputs: Int
    let rowCount: Int? = nil
    func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> DatasetBatches<Float> {
      try batch.makeBatches(of: size, epoch: epoch)
    }
  }

  @Test(arguments: [(1, 1), (3, 1), (2, 2)])
  func `has a source whose batches have another width`(inputs: Int, outputs: Int) throws {
    let source = Liar(batch: data, inputs: inputs, outputs: outputs)
    let what = inputs == 2 ? "targets of a source's batch" : "features of a source's batch"
    let error = ChainruleError.shapeMismatch(
      what: what, expected: inputs == 2 ? outputs : inputs, actual: inputs == 2 ? 1 : 2)
    let readers: [() throws -> Void] = [
      { _ = try Standardization(fitting: source) }, { _ = try Standardization(fittingTargetsOf: source) },
      { _ = try Dataset(source) },
      { _ = try Dataset(source.shuffled(buffer: 2, seed: 1)) },
      { _ = try TrainingRecipe.recommended(forRows: 1000).design(for: source, output: .identity) },
    ]
    for reader in readers { #expect(throws: error, performing: reader) }
  }

  @Test func `predicts from data of another width`() throws {
    let wide = try Dataset<Float>(features: [[1, 2, 3]], targets: [[1, 2]])
    let error = ChainruleError.shapeMismatch(what: "the data's features", expected: 2, actual: 3)
    #expect(throws: error) { try network.predict(wide) }
    #expect(throws: error) { try Model(network).predict(wide) }
    // The targets do not matter.
    let other = try Dataset<Float>(features: [[1, 2]], targets: [[1, 2, 3]])
    #expect(try network.predict(other) == network.predict([1, 2]))
    #expect(try Model(network).predict(other) == network.predict([1, 2]))
  }

  @Test func `scales by numbers that overflow, in braces`() throws {
    let large = try Dataset<Double>(features: [[1e200], [-1e200]], targets: [[1], [2]])
    #expect {
      try Network<Double>(inputs: 1) {
        try Scaling(of: large)
        Dense(1)
      }
    } throws: { error in
      "\(error)" == "the standard deviation of column 1 overflows; its numbers are too large"
    }
  }
}

/// Values written by another version, or by hand, lack what has a default.
@Suite struct `A value read from JSON` {
  private func decoded<Value: Decodable>(_ json: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(json.utf8))
  }

  @Test func `takes the default for what is left out`() throws {
    #expect(try decoded("{}") as Regularization == .none)
    #expect(try decoded(#"{"maxNorm": 2}"#) as Regularization == Regularization(maxNorm: 2))
    #expect(try decoded(#"{"type": "adam"}"#) as Optimizer == .adam())
    #expect(try decoded(#"{"type": "cosine"}"#) as Schedule == Schedule(.cosine(length: 0)))
    #expect(try decoded(#"{"units": 3}"#) as Dense == Dense(3))
    #expect(try decoded("{}") as BatchNorm == BatchNorm())
    #expect(try decoded("{}") as LayerNorm == LayerNorm())
    #expect(try decoded(#"{"mean": [1, 2]}"#) as Scaling == Scaling(mean: [1, 2], deviation: [1, 1]))
    #expect(try decoded(#"{"deviation": [3]}"#) as Scaling == Scaling(mean: [0], deviation: [3]))
    #expect(try decoded(#"{"kind": "zeros"}"#) as Initializer == .zeros)
    #expect(
      try decoded(#"{"minimum": [0], "maximum": [2]}"#) as MinMaxScaling
        == MinMaxScaling(minimum: [0], maximum: [2]))
    #expect(
      try decoded(#"{"categories": [["a", "b"]]}"#) as OneHotEncoding
        == OneHotEncoding(categories: [["a", "b"]]))
    #expect(try decoded("{}") as TargetEncoding == .numbers)
    #expect(
      try decoded(#"{"classes": ["a", "b"]}"#) as TargetEncoding == TargetEncoding(classes: ["a", "b"]))
    let encoding: FeatureEncoding = try decoded(#"{"columns": [{}]}"#)
    #expect(encoding.missingTexts == CSVOptions.usualMissingTexts && encoding.unknown == .error)
  }
}

/// A training run on an actor, whose iterator is asked by hand.
private actor Worker {
  private let trainer: Trainer<Float>
  private let data: Dataset<Float>

  init(data: Dataset<Float>) throws {
    self.data = data
    let network = try Network<Float>(inputs: data.inputs, seed: 2) { Dense(1) }
    trainer = try Trainer(network, loss: .meanSquaredError)
  }

  func train() async throws -> [Int] {
    var iterator = trainer.epochs(3, on: data, batchSize: 2).makeAsyncIterator()
    var numbers: [Int] = []
    while let epoch = try await iterator.next() { numbers.append(epoch.number) }
    return numbers
  }
}

@Suite struct `A run` {
  private let data: Dataset<Float>

  init() throws {
    data = try Dataset(
      features: (0..<20).map { [Float($0) / 20] }, targets: (0..<20).map { [Float($0 % 5) / 5] })
  }

  @Test func `is asked for its next epoch from an actor`() async throws {
    #expect(try await Worker(data: data).train() == [1, 2, 3])
  }

  @Test func `has the best model at any time where there is patience`() async throws {
    let network = try Network<Float>(inputs: 1, seed: 2) { Dense(1) }
    let trainer = try Trainer(network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.9))
    let run = trainer.epochs(50, on: data, batchSize: 4, patience: 50)
    #expect(run.best == nil)
    var (lowest, bits) = (Double.infinity, [Float]())
    for try await epoch in run {
      if epoch.loss < lowest { (lowest, bits) = (epoch.loss, try Model(network).bits) }
      #expect(try run.best?.bits == bits)
      if epoch.number == 20 { break }
    }
    #expect(try run.best?.bits == bits)
    #expect(try Model(network).bits == bits)
    // A second run, of the same network, has a best model of its own, however bad it is.
    try trainer.setLearningRate(20)
    for try await epoch in run {
      #expect(epoch.loss > lowest)
      #expect(try run.best?.bits == Model(network).bits)
      break
    }
    let impatient = trainer.epochs(2, on: data)
    for try await _ in impatient {}
    #expect(impatient.best == nil)
  }

  @Test(arguments: [false, true])
  func `that was stopped within an epoch is given up`(streams: Bool) async throws {
    let network = try Network<Float>(inputs: 1, seed: 2) { Dense(1) }
    let trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(accumulationSteps: 2))
    let source: any BatchSource<Float> = streams ? try data.shuffled(buffer: 3, seed: 1) : data
    for try await _ in trainer.epochs(3, on: source, batchSize: 4, onStep: { _ in .stop }) {}
    #expect(trainer.completedEpochs == 0 && trainer.steps == 0)
    let other = data[rows: 0..<7]
    if !streams {
      for refused: () throws -> Void in [
        { try trainer.step(other) }, { try trainer.epoch(on: data, batchSize: 3) },
        { try trainer.epoch(on: other, batchSize: 4) },
      ] {
        #expect { try refused() } throws: { "\($0)".contains("abandon it") }
      }
    }
    try trainer.abandonEpoch()
    #expect(trainer.steps == 1)  // the update that was due
    try trainer.step(other)
    try trainer.epoch(on: other, batchSize: 3)
    #expect(trainer.completedEpochs == 1)
    for try await epoch in trainer.epochs(1, on: data, batchSize: 5) { #expect(epoch.number == 2) }
  }
}

@Suite struct `A function of the caller's that throws` {
  private struct Trouble: Error, CustomStringConvertible {
    var description: String { "no more ink" }
  }

  private let network: Network<Double>
  private let data: Dataset<Double>

  init() throws {
    network = try Network(inputs: 1, seed: 2) { Dense(1) }
    data = try Dataset(
      features: (0..<20).map { [Double($0) / 20] }, targets: (0..<20).map { [Double($0 % 5) / 5] })
  }

  private func failure(of function: String) -> ChainruleError {
    .callbackFailed(function: function, reason: "no more ink")
  }

  @Test func `ends the step, which changes nothing`() throws {
    let calls = Mutex(0)
    let loss = LossFunction<Double> { outputs, targets, _ in
      let count = calls.withLock { count in
        count += 1
        return count
      }
      if count == 2 { throw Trouble() }
      if count == 3 { throw ChainruleError.busy }
      let d = zip(outputs, targets).map { $0 - $1 }
      return (losses: d.map { $0 * $0 / 2 }, gradient: d)
    }
    let trainer = try Trainer(network, loss: loss)
    try trainer.step(data)
    let bits = try Model(network).bits
    #expect(throws: failure(of: "the loss function")) { try trainer.step(data) }
    #expect(throws: ChainruleError.busy) { try trainer.step(data) }
    #expect(try Model(network).bits == bits && trainer.steps == 1)
    #expect("\(failure(of: "the loss function"))" == "the loss function failed: no more ink")
    try trainer.step(data)
    #expect(try Model(network).bits != bits && trainer.steps == 2)
  }

  @Test(arguments: [1, 4, 5, 10], [false, true])
  func `ends a run after its batch`(step: Int, streams: Bool) async throws {
    let trainer = try Trainer(network, loss: .meanSquaredError)
    let source: any BatchSource<Double> = streams ? try data.shuffled(buffer: 4, seed: 1) : data
    await #expect(throws: failure(of: "the function called after each batch")) {
      for try await _ in trainer.epochs(
        3, on: source, batchSize: 4, onStep: { if $0.number == step { throw Trouble() } else { .proceed } })
      {}
    }
    #expect(trainer.steps == step)
    try trainer.abandonEpoch()
    try trainer.epoch(on: data, batchSize: 7)
  }

  @Test func `ends a fit`() async throws {
    await #expect(throws: failure(of: "the function called after each iteration")) {
      try await network.minimize(
        data, method: .bfgs,
        onIteration: { iteration, _ in if iteration > 1 { throw Trouble() } else { .proceed } })
    }
  }
}

extension Model {
  fileprivate var bits: [Scalar] {
    get throws {
      try layers.indices.flatMap {
        let parameters = try parameters(ofLayer: $0)
        return parameters.weights + (parameters.bias ?? [])
      }
    }
  }
}
