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
    var r2: Double?
    var explainedVariance: Double
    var meanAbsolutePercentageError: Double
  }
  var classification: [Classification]
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
      for index in labels.indices { #expect(matrix.recall(of: index) == recall[index]) }
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
      // Sums of at most 120 terms, in another order than NumPy's; nil for NaN.
      for (value, reference) in [
        (evaluation.meanAbsoluteError, expected.meanAbsoluteError),
        (evaluation.rootMeanSquaredError, expected.rootMeanSquaredError), (evaluation.r2, expected.r2),
        (evaluation.explainedVariance, expected.explainedVariance),
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
    #expect(matrix.recall(of: 2).isNaN)
    #expect(matrix.precision(of: 2).isNaN)
    #expect((matrix.recall(of: 0), matrix.precision(of: 0)) == (1, 0.5))
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
