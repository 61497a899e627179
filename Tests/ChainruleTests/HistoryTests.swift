import Foundation
import TestSupport
import Testing

@testable import Chainrule

@Suite struct `A run by fit` {
  private func trainer() throws -> Trainer<Float> {
    let network = try Network<Float>(inputs: 4, seed: 1) {
      Dense(6, activation: .tanh)
      Dense(3, activation: .softmax)
    }
    return try Trainer(network, loss: .crossEntropy, options: TrainerOptions(seed: 2))
  }

  @Test func `has the epochs that the loop has, and leaves the same bits`() async throws {
    let (train, test) = try Dataset<Float>.iris.split(holdingOut: 0.3, seed: 1)
    let (one, other) = (try trainer(), try trainer())
    var reports: [Epoch] = []
    for try await epoch in one.epochs(6, on: train, validating: test, patience: 4) { reports.append(epoch) }
    let history = try await other.fit(train, epochs: 6, validating: test, patience: 4)
    #expect(history.epochs.map(\.loss) == reports.map(\.loss))
    #expect(history.epochs.map(\.validation) == reports.map(\.validation))
    #expect(try one.network.bits == other.network.bits)
    #expect(history.last?.number == 6)
    let lowest = reports.compactMap { $0.validation?.loss }.min()
    #expect(history.best?.validation?.loss == lowest)
  }

  @Test func `of a source is that of its rows in order`() async throws {
    let iris = try Dataset<Float>.iris
    let (one, other) = (try trainer(), try trainer())
    let source = try iris.shuffled(buffer: 1, seed: 1)
    let history = try await one.fit(source, epochs: 2, batchSize: 50)
    let losses = try (0..<2).map { _ in try other.epoch(on: source, batchSize: 50) }
    #expect(history.epochs.map(\.loss) == losses)
    #expect(try one.network.bits == other.network.bits)
  }

  @Test func `without an epoch has none that is best`() async throws {
    let history = try await trainer().fit(.iris, epochs: 0)
    #expect(history.epochs.isEmpty && history.best == nil && history.last == nil)
  }

  @Test func `comes back from JSON`() async throws {
    let iris = try Dataset<Float>.iris
    let classes = try await trainer().fit(iris, epochs: 2, validating: iris)
    let regression = try Network<Float>(inputs: 1) { Dense(1) }
    let line = try Dataset<Float>(features: [[0], [1], [2]], targets: [[1], [3], [5]])
    let numbers = try await Trainer(regression, loss: .meanSquaredError).fit(
      line, epochs: 1, validating: line)
    let tagger = try Network<Float>(inputs: 1) { Dense(2, activation: .sigmoid) }
    let tags = try Dataset<Float>(features: [[0], [1], [2]], targets: [[1, 0], [1, 1], [0, 1]])
    let labels = try await Trainer(tagger, loss: .binaryCrossEntropy).fit(tags, epochs: 1, validating: tags)
    for history in [classes, numbers, labels] {
      let json = try JSONEncoder().encode(history)
      #expect(try JSONDecoder().decode(History.self, from: json) == history)
    }
  }

  @Test(arguments: [
    #"{"classLabels": ["a", "b"], "cells": [[0, 2, 1]]}"#, #"{"classLabels": ["a"], "cells": [[0, 0]]}"#,
    #"{"classLabels": ["a"], "cells": [[0, 0, 1], [0, 0, 2]]}"#,
    #"{"classLabels": ["a"], "cells": [[0, 0, -1]]}"#,
  ]) func `refuses counts that are none of a confusion matrix`(json: String) {
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(ConfusionMatrix.self, from: Data(json.utf8))
    }
  }

  @Test func `refuses counts that are not one a label`() {
    let json =
      #"{"labels": ["a", "b"], "rows": 1, "truePositives": [1], "supports": [1, 0], "predicted": [1, 0], "#
      + #""exactRows": 1, "rowF1": 1}"#
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(MultilabelConfusion.self, from: Data(json.utf8))
    }
  }
}

@Suite struct `Gradients of a trainer` {
  private let batch: Dataset<Double>

  init() throws {
    var random = Random(state: 3)
    batch = try Dataset(features: random.matrix(5, 2, scale: 1), targets: random.matrix(5, 1, scale: 1))
  }

  private func network() throws -> Network<Double> {
    try Network(inputs: 2, seed: 1) {
      Dense(3, activation: .tanh)
      Dense(1)
    }
  }

  /// The mean of the gradients of the rows, which another path computes.
  private func expected(_ network: Network<Double>) throws -> [Double] {
    let each = try network.sampleGradients(on: batch, loss: .meanSquaredError)
    let count = network.parameterCount
    return (0..<count).map { p in
      (0..<batch.rows).reduce(0) { $0 + each[$1 * count + p] } / Double(batch.rows)
    }
  }

  private func check(_ trainer: Trainer<Double>) throws {
    let (loss, layers) = try trainer.gradients(batch)
    #expect(abs(loss - (try trainer.network.evaluate(batch, loss: .meanSquaredError).loss)) < 1e-12)
    let flat = layers.flatMap { $0.weights + ($0.bias ?? []) }
    #expect(mismatch(flat, try expected(trainer.network), .float64) == nil)
    #expect(trainer.steps == 0)
  }

  @Test func `are those of the rows, averaged`() throws {
    try check(
      Trainer(network(), loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true)))
  }

  @Test func `of a loss of your own are, too`() throws {
    let squares = LossFunction<Double> { a, y, _ in
      let d = zip(a, y).map { $0 - $1 }
      return (losses: d.map { $0 * $0 }, gradient: d.map { 2 * $0 })
    }
    try check(Trainer(network(), loss: squares, options: TrainerOptions(recordsTrace: true)))
  }

  @Test func `need a trainer that keeps them`() throws {
    let trainer = try Trainer(network(), loss: .meanSquaredError)
    #expect(complaint { try trainer.gradients(batch) }.contains("TrainerOptions(recordsTrace: true)"))
  }
}

@Suite struct `A network as a whole` {
  @Test func `is summed up by its layers`() throws {
    let network = try Network<Float>(inputs: 4) {
      BatchNorm()
      Dense(128, activation: .tanh)
      Dropout(0.5)
      Dense(3, activation: .softmax)
    }
    let summary = """
      float32, 4 inputs, 3 outputs, 1035 parameters
      1  batchNorm    4 → 4        8
      2  128 tanh     4 → 128    640
      3  dropout 0.5  128 → 128    0
      4  3 softmax    128 → 3    387
      """
    #expect(network.summary() == summary)
    let model = try Model(network)
    #expect("\(network)" == summary && "\(model)" == summary)
  }

  @Test func `saves itself as its model does`() throws {
    let file = try TemporaryFile("")
    let network = try Network<Float>(inputs: 2, seed: 3) { Dense(2) }
    try network.save(to: file.path)
    let saved = try Data(contentsOf: URL(filePath: file.path))
    try Model(network).save(to: URL(filePath: file.path))
    #expect(try Data(contentsOf: URL(filePath: file.path)) == saved)
    #expect(try Model<Float>(contentsOf: file.path).parameterVector() == network.parameterVector())
  }
}
