import Foundation
import TestSupport
import Testing

@testable import Chainrule
@testable import ChainruleData

/// What scikit-learn says of a classifier: "scores" in Tests/Fixtures/metrics/metrics.json, nil for NaN.
private struct ScoresFixture: Decodable {
  struct Case: Decodable {
    var columns: Int
    var actual: [Int]
    var outputs: [Double]
    var accuracy: Double
    var balancedAccuracy: Double
    var support: [Int]
    var precision: [Double?]
    var recall: [Double?]
    var f1: [Double?]
    var averaged: [String: [String: Double]]
    var topAccuracy: [Double]
    var areaUnderROC: [String: Double?]
    var areaUnderROCOf: [Double?]
    var logLoss: Double
    var logLossOfFloats: Double
    var calibration: CalibrationFixture
    var brierScore: Double?
    var averagePrecision: Double?
    var bestF1: Double?

    func dataset<Scalar: NetworkScalar>() throws -> Dataset<Scalar> {
      let features = [Scalar](repeating: 0, count: actual.count)
      if columns == 1 {
        return try Dataset(
          features: features, targets: actual.map { Scalar($0) }, rows: actual.count, inputs: 1, outputs: 1)
      }
      return try Dataset(
        features: features, inputs: 1, labels: actual.map(String.init),
        classes: (0..<columns).map(String.init))
    }
  }
  struct CalibrationFixture: Decodable {
    var error: Double
    /// Rows, confidence and accuracy of each bin.
    var bins: [[Double?]]
  }
  var scores: [String: Case]

  static func cases() throws -> [String: Case] {
    let json = try Data(contentsOf: fixtures.appending(path: "metrics/metrics.json"))
    return try JSONDecoder().decode(Self.self, from: json).scores
  }
}

/// Whether `value` is what is expected, nil for NaN, to the rounding of a few operations on `terms` numbers.
private func isClose(_ value: Double, _ expected: Double?, terms: Int = 4) -> Bool {
  guard let expected else { return value.isNaN }
  return abs(value - expected) <= Double(terms) * .ulpOfOne * max(1, abs(expected))
}

@Suite("Class scores")
struct ClassScoresTests {
  private func scores(
    _ outputs: [Float], actual: [Int], classes: Int, activation: Activation? = nil
  ) throws -> ClassScores {
    try scores(
      outputs,
      Dataset(
        features: actual.map { _ in 0 }, inputs: 1, labels: actual.map(String.init),
        classes: (0..<classes).map(String.init)), activation: activation)
  }

  private func scores<Scalar: NetworkScalar>(
    _ outputs: [Scalar], _ data: Dataset<Scalar>, activation: Activation? = nil
  ) throws -> ClassScores {
    try #require(
      try EvaluationReport(loss: 0, outputs: outputs, dataset: data, activation: activation).classScores)
  }

  @Test func `precision, recall and F1 are scikit-learn's, of a class and averaged`() throws {
    for (name, expected) in try ScoresFixture.cases() {
      let data: Dataset<Double> = try expected.dataset()
      let evaluation = try Evaluation(loss: 0, outputs: expected.outputs, dataset: data)
      let matrix = try #require(evaluation.confusionMatrix)
      #expect(isClose(evaluation.accuracy, expected.accuracy), "\(name)")
      #expect(isClose(evaluation.balancedAccuracy, expected.balancedAccuracy, terms: 20), "\(name)")
      for label in matrix.classLabels.indices {
        #expect(try matrix.support(of: label) == expected.support[label], "\(name), \(label)")
        #expect(try isClose(matrix.precision(of: label), expected.precision[label]), "\(name), \(label)")
        #expect(try isClose(matrix.recall(of: label), expected.recall[label]), "\(name), \(label)")
        #expect(try isClose(matrix.f1(of: label), expected.f1[label]), "\(name), \(label)")
      }
      for averaging in ClassAveraging.allCases {
        for (metric, value) in [
          ("precision", matrix.precision(averaging)), ("recall", matrix.recall(averaging)),
          ("f1", matrix.f1(averaging)),
        ] {
          let reference = try #require(expected.averaged[metric]?[averaging.rawValue])
          #expect(isClose(value, reference, terms: 20), "\(name), \(averaging) \(metric)")
        }
      }
    }
  }

  @Test func `the area under the curve is scikit-learn's, of a class and averaged`() throws {
    for (name, expected) in try ScoresFixture.cases() {
      let scores = try self.scores(expected.outputs, expected.dataset())
      for averaging in ClassAveraging.allCases {
        let reference = try #require(expected.areaUnderROC[averaging.rawValue])
        #expect(isClose(scores.areaUnderROC(averaging), reference, terms: 200), "\(name), \(averaging)")
      }
      for label in scores.classLabels.indices {
        let reference = expected.areaUnderROCOf[label]
        #expect(try isClose(scores.areaUnderROC(of: label), reference, terms: 200), "\(name), \(label)")
      }
    }
  }

  @Test func `top-k accuracy is scikit-learn's, ties included`() throws {
    for (name, expected) in try ScoresFixture.cases() {
      let scores = try self.scores(expected.outputs, expected.dataset())
      for (index, reference) in expected.topAccuracy.enumerated() {
        #expect(try scores.topAccuracy(index + 1) == reference, "\(name), k = \(index + 1)")
      }
      #expect(try scores.topAccuracy(scores.classLabels.count) == 1)
      #expect(try scores.topAccuracy(.max) == 1)
      for k in [0, -1] {
        #expect(throws: ChainruleError.invalidValue(name: "k", value: "\(k)", expected: "at least 1")) {
          try scores.topAccuracy(k)
        }
      }
    }
  }

  @Test func `the log loss is scikit-learn's in both precisions, where a probability is 0 too`() throws {
    for (name, expected) in try ScoresFixture.cases() {
      let scores = try self.scores(expected.outputs, expected.dataset())
      #expect(isClose(scores.logLoss, expected.logLoss, terms: 200), "\(name)")
      let floats = try self.scores(expected.outputs.map { Float($0) }, expected.dataset())
      // scikit-learn's own result is a float32 here.
      #expect(abs(floats.logLoss - expected.logLossOfFloats) <= 1e-6 * expected.logLossOfFloats)
    }
  }

  @Test func `calibration is that of Guo et al., bin by bin`() throws {
    for (name, expected) in try ScoresFixture.cases() {
      let found = try #require(self.scores(expected.outputs, expected.dataset()).calibration)
      #expect(isClose(found.expectedError, expected.calibration.error, terms: 200), "\(name)")
      #expect(found.bins.count == 15)
      for (bin, reference) in zip(found.bins, expected.calibration.bins) {
        #expect(bin.rows == reference[0].map { Int($0) }, "\(name), from \(bin.lower)")
        #expect(isClose(bin.confidence, reference[1], terms: 200), "\(name), from \(bin.lower)")
        #expect(isClose(bin.accuracy, reference[2], terms: 200), "\(name), from \(bin.lower)")
      }
    }
  }

  @Test func `a confidence on a border is in the bin below it`() {
    for m in 1...15 {
      var calibration = Calibration()
      let border = Double(m) / 15
      calibration.add(confidence: border, isCorrect: true)
      calibration.add(confidence: border.nextUp, isCorrect: true)  // of 1: counts as 1
      #expect(calibration.bins[m - 1].rows == (m == 15 ? 2 : 1), "\(m)")
    }
    var zero = Calibration()
    zero.add(confidence: 0, isCorrect: false)
    #expect(zero.bins[0].rows == 1)
    #expect(zero.expectedError == 0)
    #expect(Calibration().expectedError.isNaN)
  }

  @Test func `average precision, Brier score and best F1 of two classes are scikit-learn's`() throws {
    for (name, expected) in try ScoresFixture.cases() {
      let data: Dataset<Double> = try expected.dataset()
      let scores = try self.scores(expected.outputs, data)
      #expect(isClose(scores.brierScore, expected.brierScore, terms: 200), "\(name)")
      #expect(isClose(scores.averagePrecision, expected.averagePrecision, terms: 200), "\(name)")
      #expect((scores.bestF1 == nil) == (expected.bestF1 == nil), "\(name)")
      guard let best = scores.bestF1 else { continue }
      #expect(isClose(best.f1, expected.bestF1, terms: 200), "\(name)")
      // The threshold gives that F1 where it decides.
      let decided = try EvaluationReport(
        loss: 0, outputs: expected.outputs, dataset: data, threshold: best.threshold)
      #expect(decided.threshold == best.threshold)
      #expect(try decided.evaluation.confusionMatrix?.f1(of: 1) == best.f1, "\(name)")
    }
  }

  @Test(
    arguments: [
      ([0.25, 0.75], [0, 1], 0.5), ([0.125, 0.25], [0, 1], 0.2), ([0.875, 0.9375], [0, 1], 0.9),
      ([0.3000001, 0.3000003], [0, 1], 0.3000002), ([0, 0], [1, 0], nil), ([0.75, 0.75], [0, 0], nil),
      ([0.125, 0.625], [1, 0], 0.1), ([0.5, 0.75, 1], [1, 1, 1], 0.3),
      // F1 is 2/3 with the first row alone and with all: the threshold nearest to ½.
      ([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1], 0.5), ([0.6, 0.4, 0.3, 0.2], [1, 0, 0, 1], 0.5),
    ] as [([Double], [Double], Double?)])
  func `the best threshold is a short number between two scores`(
    outputs: [Double], targets: [Double], threshold: Double?
  ) throws {
    let data = try Dataset(
      features: targets, targets: targets, rows: targets.count, inputs: 1, outputs: 1)
    #expect(try scores(outputs, data).bestF1?.threshold == threshold)
  }

  @Test func `outputs that are no probabilities are ranked only`() throws {
    let single = try Dataset<Float>(features: [[0], [1]], targets: [[0], [1]])
    let cases = [
      try scores([0.5, 0.5, 1.25, -0.25], actual: [0, 1], classes: 2),
      try scores([0.5, 0.25, 0.125, 0.75], actual: [0, 1], classes: 2, activation: .tanh),
      try scores([0.5, 0.25, 0.125, 0.75], actual: [0, 1], classes: 2, activation: .sigmoid),
      try scores([-0.25, 0.75], single),
    ]
    for scores in cases {
      #expect(!scores.areProbabilities)
      #expect(scores.logLoss.isNaN && scores.brierScore.isNaN)
      #expect(scores.bestF1 == nil && scores.calibration == nil)
    }
    #expect(cases.map { $0.areaUnderROC() } == [0, 1, 1, 1])
    #expect(cases.map(\.averagePrecision) == [0.5, 1, 1, 1])
  }

  @Test func `two classes have one curve, however the outputs say it`() throws {
    let outputs: [Float] = [1e-9, 2e-9, 0.5, 0.5, 0.75]
    let actual = [0, 1, 0, 1, 1]
    let single = try scores(
      outputs,
      Dataset<Float>(features: actual.map { [Float($0)] }, targets: actual.map { [Float($0)] }))
    // Of the 6 pairs, 0.5 and 0.5 are equal, and 0.5 stands above 2e-9: 4.5 of 6.
    for area in try [single.areaUnderROC(), single.areaUnderROC(of: 0), single.areaUnderROC(of: 1)] {
      #expect(area == 0.75)
    }
    let both = try scores(outputs.flatMap { [-$0, $0] }, actual: actual, classes: 2)
    for averaging in ClassAveraging.allCases { #expect(both.areaUnderROC(averaging) == 0.75) }
  }

  @Test func `a data set of one class has nothing to rank`() throws {
    let scores = try self.scores([0.25, 0.75], actual: [0, 0], classes: 1)
    for averaging in ClassAveraging.allCases { #expect(scores.areaUnderROC(averaging).isNaN) }
    #expect(try scores.topAccuracy(1) == 1)
    #expect(scores.logLoss == -(log(0.25) + log(0.75)) / 2)
  }

  @Test func `a regression has no class scores`() throws {
    let data = try Dataset<Float>(features: [[0], [1]], targets: [[0], [1]])
    for activation in [Activation.identity, .tanh, .relu] {
      let report = try EvaluationReport(
        loss: 0, outputs: [0.25, 0.75], dataset: data, activation: activation)
      #expect(report.classScores == nil && report.evaluation.confusionMatrix == nil)
      #expect(report.medianAbsoluteError == 0.25)
    }
  }

  @Test func `a classifier's metrics are NaN for a regression`() throws {
    let data = try Dataset<Double>(features: [[0], [1]], targets: [[1], [3]])
    let evaluation = try Evaluation(loss: 0, outputs: [1, 2], dataset: data)
    #expect(evaluation.balancedAccuracy.isNaN)
    #expect(evaluation.confusionMatrix == nil)
    let classes = try Evaluation(loss: 0, outputs: [0, 1, 1, 1], dataset: Dataset<Double>.xor)
    #expect(classes.meanAbsolutePercentageError.isNaN)
    #expect(classes == classes)
  }

  @Test func `the example of the documentation`() async throws {
    let (train, test) = try Dataset<Float>.digits.split(holdingOut: 0.2, seed: 1, stratified: true)
    let network = try Network<Float>(inputs: 64, seed: 42) {
      Dense(32, activation: .relu)
      Dense(10, activation: .softmax)
    }
    let trainer = try Trainer(network, loss: .crossEntropy, optimizer: .adam())
    for try await _ in trainer.epochs(5, on: train) {}

    let evaluation = try network.evaluate(test)
    let balanced = evaluation.balancedAccuracy
    let f1 = evaluation.confusionMatrix?.f1(.macro)

    let scores = try network.report(on: test).classScores!
    let area = scores.areaUnderROC(.macro)
    let (top3, logLoss) = (try scores.topAccuracy(3), scores.logLoss)

    #expect(balanced > 0.9)
    #expect(try #require(f1) > 0.9)
    #expect(area > 0.98)
    #expect(top3 > evaluation.accuracy)
    // The loss trained on is the log loss, in float32.
    #expect(abs(logLoss - evaluation.loss) <= 1e-5 * evaluation.loss)
  }
}
