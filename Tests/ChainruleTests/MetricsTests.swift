import Foundation
import Testing

@testable import Chainrule

/// What scikit-learn says: Tests/Fixtures/metrics/metrics.json, written by generate.py beside it.
private struct MetricsFixture: Decodable {
  struct Classification: Decodable {
    var labels: [String]?
    var actual: [Int]
    var outputs: [Double]
    var accuracy: Double
    var confusion: [Int]
    var recall: [Double]?
  }
  struct Regression: Decodable {
    var columns: Int
    var targets: [Double]
    var outputs: [Double]
    var meanAbsoluteError: Double
    var rootMeanSquaredError: Double
    var medianAbsoluteError: Double
    var r2: Double?
    var explainedVariance: Double
    var meanAbsolutePercentageError: Double
  }
  struct Multilabel: Decodable {
    var labels: Int
    var threshold: Double
    var targets: [Double]
    var outputs: [Double]
    var subsetAccuracy: Double
    var hammingLoss: Double
    var averagedF1: [String: Double]
    var areaUnderROC: [Double?]
    var support: [Int]
    var precision: [Double?]
    var recall: [Double?]
    var f1: [Double?]
  }
  var classification: [Classification]
  var multilabel: [String: Multilabel]
  var binary: [Classification]
  var regression: [Regression]

  init() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Fixtures/metrics/metrics.json")
    self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
  }
}

@Suite("Metrics")
struct MetricsTests {
  @Test func `accuracy, confusion and recall are scikit-learn's`() throws {
    for expected in try MetricsFixture().classification {
      let labels = try #require(expected.labels)
      let data = try Dataset<Double>(
        features: expected.actual.map { [Double($0)] }, labels: expected.actual.map { labels[$0] })
      let evaluation = try Evaluation(loss: 1, outputs: expected.outputs, dataset: data)
      let matrix = try #require(evaluation.confusionMatrix)
      #expect(evaluation.accuracy == expected.accuracy)
      #expect(matrix.counts == expected.confusion)
      #expect(matrix.classLabels == labels)
      let recall = try #require(expected.recall)
      for index in labels.indices { #expect(try matrix.recall(of: index) == recall[index]) }
    }
  }

  @Test func `one output with targets 0 and 1 is two classes`() throws {
    for expected in try MetricsFixture().binary {
      let data = try Dataset<Double>(
        features: expected.actual.map { [Double($0)] }, targets: expected.actual.map { [Double($0)] })
      let evaluation = try Evaluation(loss: 1, outputs: expected.outputs, dataset: data)
      #expect(evaluation.accuracy == expected.accuracy)
      #expect(evaluation.confusionMatrix?.counts == expected.confusion)
      #expect(evaluation.confusionMatrix?.classLabels == ["0", "1"])
    }
  }

  @Test func `errors and R² of a regression are scikit-learn's`() throws {
    for expected in try MetricsFixture().regression {
      let rows = expected.targets.count / expected.columns
      let data = try Dataset(
        features: Array(repeating: 0, count: rows), targets: expected.targets, rows: rows, inputs: 1,
        outputs: expected.columns)
      let evaluation = try Evaluation(loss: 1, outputs: expected.outputs, dataset: data)
      let report = try EvaluationReport(loss: 1, outputs: expected.outputs, dataset: data)
      #expect(report.evaluation == evaluation)
      // Sums of at most 120 terms, in another order than NumPy's; nil for NaN.
      for (value, reference) in [
        (evaluation.meanAbsoluteError, expected.meanAbsoluteError),
        (evaluation.rootMeanSquaredError, expected.rootMeanSquaredError), (evaluation.r2, expected.r2),
        (evaluation.explainedVariance, expected.explainedVariance),
        (report.medianAbsoluteError, expected.medianAbsoluteError),
        (evaluation.meanAbsolutePercentageError, expected.meanAbsolutePercentageError),
      ] as [(Double, Double?)] {
        if let reference {
          #expect(abs(value - reference) <= 120 * Double.ulpOfOne * max(1, abs(reference)))
        } else {
          #expect(value.isNaN)
        }
      }
      #expect(evaluation.accuracy.isNaN)
      #expect(evaluation.confusionMatrix == nil)
      #expect(evaluation == evaluation)
    }
  }

  @Test func `the metrics of several labels a row are scikit-learn's`() throws {
    for (name, expected) in try MetricsFixture().multilabel {
      let rows = expected.targets.count / expected.labels
      let names = (0..<expected.labels).map { "label \($0)" }
      let data = try Dataset(
        features: Array(repeating: 0, count: rows), targets: expected.targets, rows: rows, inputs: 1,
        outputs: expected.labels, targetNames: names)
      let report = try EvaluationReport(
        loss: 1, outputs: expected.outputs, dataset: data, activation: .sigmoid,
        threshold: expected.threshold)
      let found = try #require(report.evaluation.multilabel)
      let scores = try #require(report.labelScores)
      #expect(found.labels == names)
      #expect(found.rows == rows)
      #expect(found.subsetAccuracy == expected.subsetAccuracy, "\(name)")
      #expect(abs(found.hammingLoss - expected.hammingLoss) < 1e-15, "\(name)")
      for averaging in MultilabelAveraging.allCases {
        let reference = try #require(expected.averagedF1[averaging.rawValue])
        #expect(abs(found.f1(averaging) - reference) < 1e-14, "\(name), \(averaging)")
      }
      func close(_ value: Double, _ expected: Double?) -> Bool {
        expected.map { abs(value - $0) < 1e-14 } ?? value.isNaN
      }
      for label in names.indices {
        #expect(try found.support(of: label) == expected.support[label], "\(name), \(label)")
        #expect(try close(found.precision(of: label), expected.precision[label]), "\(name), \(label)")
        #expect(try close(found.recall(of: label), expected.recall[label]), "\(name), \(label)")
        #expect(try close(found.f1(of: label), expected.f1[label]), "\(name), \(label)")
        #expect(try close(scores.areaUnderROC(of: label), expected.areaUnderROC[label]), "\(name), \(label)")
      }
      #expect(report.classScores == nil && report.evaluation.confusionMatrix == nil)
      #expect(report.medianAbsoluteError.isNaN)
    }
  }

  @Test(
    arguments: [
      (.sigmoid, [0, 1, 1, 0], true), (.hardSigmoid, [0, 1, 1, 0], true), (.sigmoid, [0, 1, 0.5, 0], false),
      (.identity, [0, 1, 1, 0], false), (.softmax, [0, 1, 1, 0], false), (nil, [0, 1, 1, 0], false),
    ] as [(Activation?, [Float], Bool)])
  func `several outputs are labels if they are sigmoid and every target is 0 or 1`(
    activation: Activation?, targets: [Float], areLabels: Bool
  ) throws {
    let data = try Dataset(features: [0, 1], targets: targets, rows: 2, inputs: 1, outputs: 2)
    let evaluation = try Evaluation(
      loss: 0.25, outputs: [0.25, 0.75, 0.25, 0.25], dataset: data, activation: activation)
    #expect((evaluation.multilabel != nil) == areLabels)
    #expect(evaluation.multilabel?.labels ?? ["output 1", "output 2"] == ["output 1", "output 2"])
    #expect("\(evaluation)".contains("subset accuracy 50.0 %, micro F1 0.6667") == areLabels)
  }

  @Test func `a dropout layer at the end does not hide the activation, any other layer does`() throws {
    let targets: [Float] = [0, 1, 1, 1, 0, 0]
    let data = try Dataset(features: [0, 1, 2], targets: targets, rows: 3, inputs: 1, outputs: 2)
    let last: [(Layer, Bool)] = [
      (.dropout(Dropout(0.5)), true), (.activation(.sigmoid), true),
      (.layerNorm(LayerNorm()), false), (.dense(Dense(2)), false),
    ]
    for (layer, areLabels) in last {
      let network = try Network<Float>(
        inputs: 1, layers: [.dense(Dense(2, activation: .sigmoid)), layer], seed: 1)
      let evaluation = try network.evaluate(data, loss: .meanSquaredError)
      #expect((evaluation.multilabel != nil) == areLabels, "\(layer)")
    }
    // A scaling layer at the end scales targets, which labels are not.
    #expect(throws: ChainruleError.self) {
      try Trainer(
        Network<Float>(
          inputs: 1,
          layers: [
            .dense(Dense(2, activation: .sigmoid)), .scaling(Scaling(mean: [0, 0], deviation: [1, 1])),
          ]),
        loss: .binaryCrossEntropy)
    }
  }

  @Test(arguments: [-0.1, 1.5, .nan, .infinity]) func `a threshold is a probability`(threshold: Double) {
    #expect(
      throws: ChainruleError.invalidValue(
        name: "threshold", value: "\(threshold)", expected: "a probability, 0 … 1")
    ) {
      try Evaluation(loss: 0, outputs: [0, 1, 1, 0], dataset: Dataset<Float>.xor, threshold: threshold)
    }
  }

  @Test func `a threshold decides between two classes, and over nothing else`() throws {
    let data = try Dataset<Float>(features: [[0], [1], [2]], labels: ["a", "b", "b"])
    let outputs: [Float] = [0.875, 0.125, 0.625, 0.375, 0.25, 0.75]
    func counts(_ threshold: Double, _ activation: Activation?) throws -> [Int]? {
      try Evaluation(
        loss: 0, outputs: outputs, dataset: data, activation: activation, threshold: threshold
      ).confusionMatrix?.counts
    }
    for activation in [nil, Activation.softmax] {
      #expect(try counts(0.5, activation) == [1, 0, 1, 1])
      #expect(try counts(0.3, activation) == [1, 0, 0, 2])
      #expect(try counts(0.375, activation) == [1, 0, 1, 1])  // above, not at
      #expect(try counts(1, activation) == [1, 0, 2, 0])
      #expect(try counts(0, activation) == [0, 1, 0, 2])
    }
    let more = try data.withClasses(["a", "b", "c"])
    let regression = try Dataset<Float>(features: [[0], [1]], targets: [[0], [1]])
    let refused: [(String, () throws -> Evaluation)] = [
      (
        "two classes without probabilities",
        {
          try Evaluation(loss: 0, outputs: outputs, dataset: data, activation: .tanh, threshold: 0.3)
        }
      ),
      (
        "3 classes",
        {
          try Evaluation(loss: 0, outputs: [Float](repeating: 0, count: 9), dataset: more, threshold: 0.3)
        }
      ),
      (
        "a regression",
        {
          try Evaluation(
            loss: 0, outputs: [0, 1], dataset: regression, activation: .identity, threshold: 0.3)
        }
      ),
    ]
    for (what, evaluate) in refused {
      #expect {
        try evaluate()
      } throws: { error in
        "\(error)" == "threshold is 0.3 for \(what); expected 0.5, which changes nothing; a threshold "
          + "applies to the probabilities of two classes or of labels"
      }
    }
  }

  @Test func `of equal outputs the first is predicted`() throws {
    let data = try Dataset<Float>(features: [[0], [1]], labels: ["a", "b"])
    let evaluation = try Evaluation(loss: 0, outputs: [0.5, 0.5, 0.5, 0.5], dataset: data)
    let matrix = try #require(evaluation.confusionMatrix)
    #expect(matrix[actual: 0, predicted: 0] == 1)
    #expect(matrix[actual: 1, predicted: 0] == 1)
    let half = try Evaluation(loss: 0, outputs: [0.5, 0.5, 0.6, 0.4], dataset: Dataset<Float>.xor)
    #expect(half.confusionMatrix?.counts == [2, 0, 1, 1])  // 0, 0, 1, 0 for 0, 1, 1, 0
  }

  @Test func `recall and precision of a class that does not occur are NaN`() throws {
    let data = try Dataset<Float>(features: [[0], [1]], labels: ["a", "b"]).withClasses(["a", "b", "c"])
    let evaluation = try Evaluation(loss: 0, outputs: [1, 0, 0, 1, 0, 0], dataset: data)
    let matrix = try #require(evaluation.confusionMatrix)
    #expect(try matrix.recall(of: 2).isNaN)
    #expect(try matrix.precision(of: 2).isNaN)
    #expect(try (matrix.recall(of: 0), matrix.precision(of: 0)) == (1, 0.5))
  }

  @Test func `a constant target is one whose mean is not exact, too`() throws {
    let data = try Dataset<Double>(features: [[0], [1], [2]], targets: [[0.1], [0.1], [0.1]])
    let off = try Evaluation(loss: 0, outputs: [0.1, 0.2, 0.1], dataset: data)
    #expect((off.r2, off.explainedVariance) == (0, 0))
    let met = try Evaluation(loss: 0, outputs: [0.1, 0.1, 0.1], dataset: data)
    #expect((met.r2, met.explainedVariance) == (1, 1))
  }

  @Test func `R² of one row is NaN`() throws {
    let data = try Dataset<Float>(features: [[0]], targets: [[3]])
    #expect(try Evaluation(loss: 0, outputs: [3], dataset: data).r2.isNaN)
  }

  @Test func `outputs of another size, or not finite, are refused`() {
    #expect(throws: ChainruleError.shapeMismatch(what: "outputs", expected: 4, actual: 3)) {
      try Evaluation(loss: 0, outputs: [1, 2, 3], dataset: Dataset<Float>.xor)
    }
    #expect {
      try Evaluation(loss: 0, outputs: [1, 2, .nan, 3], dataset: Dataset<Float>.xor)
    } throws: { error in
      "\(error)" == "output 1 of row 3 is nan"
    }
  }

  @Test func `an evaluation reads as one line`() throws {
    let xor = Dataset<Float>.xor
    let evaluation = try Evaluation(loss: 0.081234, outputs: [0, 1, 1, 1], dataset: xor)
    #expect("\(evaluation)" == "loss 0.08123, accuracy 75.0 %")
    let data = try Dataset<Double>(features: [[0], [1]], targets: [[1], [3]])
    for (loss, text) in [
      (123_456.0, "123500"), (0, "0"), (1e-5, "1e-05"), (2, "2"), (1e30, "1e+30"), (.nan, "nan"),
      (.leastNonzeroMagnitude, "5e-324"), (.infinity, "inf"), (0.99996, "1"),
    ] {
      let evaluation = try Evaluation(loss: loss, outputs: [1.5, 2.5], dataset: data)
      #expect("\(evaluation)" == "loss \(text), MAE 0.5, RMSE 0.5, R² 0.75")
    }
  }

  @Test func `the most confused pairs come largest first, equal ones in the order of the classes`() throws {
    let labels = ["a", "b", "c"]
    let actual = [0, 0, 1, 1, 1, 2, 2, 0]
    let predicted = [1, 1, 0, 2, 1, 0, 2, 0]
    let data = try Dataset<Float>(
      features: actual.map { [Float($0)] }, labels: actual.map { labels[$0] })
    let outputs = predicted.flatMap { predicted in (0..<3).map { $0 == predicted ? Float(1) : 0 } }
    let matrix = try #require(try Evaluation(loss: 0, outputs: outputs, dataset: data).confusionMatrix)
    let all = matrix.mostConfused(.max).map { [$0.actual, $0.predicted, $0.count] }
    #expect(all == [[0, 1, 2], [1, 0, 1], [1, 2, 1], [2, 0, 1]])
    #expect(matrix.mostConfused(2).map { [$0.actual, $0.predicted, $0.count] } == Array(all.prefix(2)))
    #expect(matrix.mostConfused(0).isEmpty)
    #expect(
      matrix.nonzeroCounts.map { [$0.actual, $0.predicted, $0.count] }
        == [[0, 0, 1], [0, 1, 2], [1, 0, 1], [1, 1, 1], [1, 2, 1], [2, 0, 1], [2, 2, 1]])
    #expect(matrix.counts == [1, 2, 0, 1, 1, 1, 1, 0, 1])
  }

  @Test func `a confusion matrix of thousands of classes takes memory for its rows and reads as one line`()
    throws
  {
    let classes = (0..<20_000).map(String.init)  // classes² counts are 3.2 GB
    let data = try Dataset<Float>(features: [[0], [1]], labels: ["7", "19999"]).withClasses(classes)
    var outputs = [Float](repeating: 0, count: 40_000)
    (outputs[7], outputs[20_003]) = (1, 1)
    let report = try EvaluationReport(loss: 0, outputs: outputs, dataset: data)
    let matrix = try #require(report.evaluation.confusionMatrix)
    #expect("\(matrix)" == "20000 classes, 1 of 2 rows predicted correctly")
    #expect(matrix.mostConfused(20).map { [$0.actual, $0.predicted, $0.count] } == [[19_999, 3, 1]])
    #expect(matrix.balancedAccuracy == 0.5)
    #expect(report.classScores?.areaUnderROC().isNaN == true)
    #expect(try report.classScores?.topAccuracy(1) == 0.5)
  }

  @Test func `a confusion matrix reads as an aligned table`() throws {
    let data = try Dataset<Float>(
      features: [[0], [1], [2]], labels: ["setosa", "setosa", "virginica"]
    ).withClasses(["setosa", "versicolor", "virginica"])
    let outputs: [Float] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    let matrix = try #require(try Evaluation(loss: 0, outputs: outputs, dataset: data).confusionMatrix)
    #expect(
      "\(matrix)" == """
        actual \\ predicted  setosa  versicolor  virginica   recall
        setosa                   1           1          0   50.0 %
        versicolor               0           0          0        –
        virginica                0           0          1  100.0 %
        """)
  }
}
