import Foundation
import TestSupport
import Testing

@testable import Chainrule

@Suite("Permutation importance")
struct PermutationImportanceTests {
  /// y = 3 x₁ + x₂ + 0 x₃, and a model that computes just that.
  private func linear(rows: Int) throws -> (model: Model<Double>, data: Dataset<Double>) {
    var random = Random(state: 3)
    let x = random.matrix(rows, 3, scale: 1)
    let network = try Network<Double>(inputs: 3, seed: 1) { Dense(1) }
    try network.setParameterVector([3, 1, 0, 0])
    return (try Model(network), try Dataset(features: x, targets: x.map { [3 * $0[0] + $0[1]] }))
  }

  /// R² = 1 - Σ(a - y)² / Σ(y - ȳ)²
  private func r2(_ outputs: [Double], _ targets: [Double]) -> Double {
    let mean = targets.reduce(0, +) / Double(targets.count)
    let residual = zip(outputs, targets).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return 1 - residual / targets.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  }

  @Test func `is the drop of R² with each repeat's order of the rows, and mean ± t s ∕ √repeats`() throws {
    let (model, data) = try linear(rows: 40)
    let found = try model.permutationImportance(on: data, repeats: 5, seed: 11)
    #expect(found.metric == .r2)
    #expect(abs(found.score - 1) < 1e-12)
    #expect(found.groups.map(\.name) == ["feature 1", "feature 2", "feature 3"])
    var generator = SplitMix64(seed: 11)
    let orders = (0..<5).map { _ in generator.permutation(of: 40) }
    for (feature, weight) in [3.0, 1, 0].enumerated() {
      let drops = orders.map { order in
        let outputs = (0..<40).map { row in
          let change = data.features[3 * order[row] + feature] - data.features[3 * row + feature]
          return data.targets[row] + weight * change
        }
        return 1 - r2(outputs, data.targets)
      }
      let group = found.groups[feature]
      #expect(group.features == [feature])
      for (a, b) in zip(group.drops, drops) { #expect(abs(a - b) < 1e-12) }
      let mean = drops.reduce(0, +) / 5
      let s = (drops.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 4).squareRoot()
      let half = 2.7764451051977987 * s / 5.0.squareRoot()  // t with 4 degrees of freedom
      #expect(abs(group.mean - mean) < 1e-12)
      #expect(abs(group.lower - (mean - half)) < 1e-9 && abs(group.upper - (mean + half)) < 1e-9)
    }
    #expect(found.groups[2].mean == 0 && found.groups[2].lower == 0 && found.groups[2].upper == 0)
  }

  @Test func `the expected drop of R² is 2 w² Var(x) ∕ Var(y)`() throws {
    let (model, data) = try linear(rows: 200)
    let found = try model.permutationImportance(on: data, repeats: 200, seed: 1)
    func variance(_ values: [Double]) -> Double {
      let mean = values.reduce(0, +) / Double(values.count)
      return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    }
    for (feature, weight) in [3.0, 1].enumerated() {
      let x = (0..<200).map { data.features[3 * $0 + feature] }
      let expected = 2 * weight * weight * variance(x) / variance(data.targets)
      let group = found.groups[feature]
      // Twice the interval: no miss by chance in practice.
      #expect(abs(group.mean - expected) <= group.upper - group.lower)
    }
  }

  @Test func `a group is permuted as one, whatever other groups there are`() throws {
    let (model, data) = try linear(rows: 30)
    let all = FeatureGroup(name: "all", features: [0, 1, 2])
    let pair = FeatureGroup(name: "pair", features: [2, 0])
    let alone = try model.permutationImportance(on: data, groups: [pair], seed: 4)
    let among = try model.permutationImportance(
      on: data, groups: [all, pair, FeatureGroup(name: "first", features: [0])], seed: 4)
    #expect(alone.groups[0] == among.groups[1])
    #expect(alone.groups[0].drops == among.groups[2].drops)  // x₃ has no effect.
    // All features move with their row: the outputs are those of another row.
    var generator = SplitMix64(seed: 4)
    let order = generator.permutation(of: 30)
    let drop = 1 - r2(order.map { data.targets[$0] }, data.targets)
    #expect(abs(among.groups[0].drops[0] - drop) < 1e-12)
    #expect(try model.permutationImportance(on: data, groups: [], seed: 4).groups.isEmpty)
  }

  @Test func `the same seed gives the same bits, another seed others`() throws {
    let (model, data) = try linear(rows: 30)
    let found = try model.permutationImportance(on: data, seed: 7)
    #expect(try model.permutationImportance(on: data, seed: 7) == found)
    #expect(try model.permutationImportance(on: data, seed: 8) != found)
    #expect(found.groups.allSatisfy { $0.drops.count == 10 })
    #expect(Set(found.groups[0].drops).count == 10)
  }

  @Test func `classes and labels use the log loss, scores the accuracy`() throws {
    let x: [[Float]] = (0..<20).map { [Float($0 % 2), Float($0 % 5)] }
    let classes = try Dataset(features: x, labels: x.map { "\($0[0])" })
    let single = try Dataset(features: x, targets: x.map { [$0[0]] })
    let labels = try Dataset(features: x, targets: x.map { [$0[0], 1 - $0[0]] })
    for (data, activation, metric) in [
      (classes, .softmax, .logLoss), (classes, .identity, .accuracy), (single, .sigmoid, .logLoss),
      (labels, .sigmoid, .logLoss), (single, .identity, .r2), (labels, .tanh, .r2),
    ] as [(Dataset<Float>, Activation, ImportanceMetric)] {
      let network = try Network<Float>(inputs: 2, seed: 1) {
        Dense(data.outputs, activation: activation)
      }
      let model = try Model(network)
      let found = try model.permutationImportance(on: data)
      #expect(found.metric == metric, "\(activation)")
      let loss: Loss = activation == .softmax ? .crossEntropy : .binaryCrossEntropy
      switch metric {
      case .logLoss: #expect(abs(found.score + (try model.evaluate(data, loss: loss).loss)) < 1e-6)
      case .accuracy: #expect(found.score == (try model.evaluate(data).accuracy))
      case .r2: #expect(found.score == (try model.evaluate(data).r2))
      }
      #expect(found.groups[1].name == "feature 2")
    }
  }

  @Test func `what makes no sense is refused by name`() throws {
    let (model, data) = try linear(rows: 5)
    func group(_ features: [Int]) -> [FeatureGroup] { [FeatureGroup(name: "g", features: features)] }
    let classes = try Dataset<Double>(features: [[0, 0, 0], [1, 1, 1]], labels: ["a", "b"])
    let cases: [(String, () throws -> PermutationImportance)] = [
      (
        "the group \"g\" is empty; expected at least one feature",
        { try model.permutationImportance(on: data, groups: group([])) }
      ),
      (
        "a feature of the group \"g\" is 3; expected 0 … 2, as the model has",
        { try model.permutationImportance(on: data, groups: group([3])) }
      ),
      (
        "a feature of the group \"g\" is -1; expected 0 … 2, as the model has",
        { try model.permutationImportance(on: data, groups: group([-1])) }
      ),
      (
        "a feature of the group \"g\" is 1 twice; expected each once",
        { try model.permutationImportance(on: data, groups: group([1, 0, 1])) }
      ),
      (
        "repeats is 1; expected at least 2, for an interval",
        { try model.permutationImportance(on: data, repeats: 1) }
      ),
      (
        "rows is 1; expected at least 2, to be permuted",
        { try model.permutationImportance(on: data[rows: 0..<1]) }
      ),
      (
        "the metric is accuracy; expected r2 for this model and data set",
        { try model.permutationImportance(on: data, metric: .accuracy) }
      ),
      ("the data's targets: expected 1, got 2", { try model.permutationImportance(on: classes) }),
    ]
    for (message, call) in cases {
      #expect {
        try call()
      } throws: { error in
        "\(error)" == message
      }
    }
  }

  @Test func `t is SciPy's`() throws {
    struct Fixture: Decodable { var studentQuantiles: [String: Double] }
    let json = try Data(contentsOf: fixtures.appending(path: "metrics/metrics.json"))
    let quantiles = try JSONDecoder().decode(Fixture.self, from: json).studentQuantiles
    #expect(quantiles.count == 34)
    for (degrees, expected) in quantiles {
      let found = studentQuantile95(degreesOfFreedom: try #require(Int(degrees)))
      #expect(abs(found - expected) < 1e-9 * expected, "\(degrees)")
    }
  }
}
