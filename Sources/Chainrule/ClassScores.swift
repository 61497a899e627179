#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A classifier's outputs beside the actual classes, for the metrics that need more than the class predicted.
///
///     let scores = try ClassScores(outputs: network.predict(test.features), dataset: test)
///     print(scores.areaUnderROC(.macro), try scores.topAccuracy(3), try scores.logLoss())
///
/// The score of a row for a class is its output for it. For a single output a, which stands for class "1", the
/// score for class "0" is 1 - a. The rows count equally, whatever their weights.
public struct ClassScores: Sendable, Equatable {
  /// The classes, in the order of the outputs; "0" and "1" for a single output.
  public let classLabels: [String]
  /// The number of rows.
  public let rows: Int

  /// The class of each row, an index into ``classLabels``.
  private let actual: [Int]
  /// rows × columns, row-major: a column a class, or a single one.
  private let outputs: [Double]
  private let columns: Int
  /// The distance from 1 to the next number of the outputs' scalar type.
  private let epsilon: Double

  /// Whether one output stands for two classes.
  private var isSingle: Bool { columns < classLabels.count }

  /// Takes `outputs`, row-major rows × outputs of `dataset`.
  ///
  /// - Throws: `ChainruleError.invalidValue` for a regression, `.shapeMismatch` for another number of outputs,
  ///   `.notFinite` for an output that is NaN or infinite.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  public init<Scalar: NetworkScalar>(
    outputs: [Scalar], dataset: Dataset<Scalar>
  ) throws(ChainruleError) {
    try checkOutputs(outputs, of: dataset)
    let classes = try dataset.classes(for: "class scores")
    classLabels = classes.names
    actual = classes.ofRows
    rows = dataset.rows
    epsilon = Double(Scalar.ulpOfOne)
    columns = dataset.outputs
    self.outputs = outputs.map(Double.init)
  }

  /// The fraction, 0 … 1, of rows whose class is among the `k` with the largest scores.
  ///
  /// Of equal scores the later class's is the larger, as in scikit-learn's `top_k_accuracy_score`; in
  /// ``Evaluation/accuracy`` it is the first's. A single output of ½ is class "0" in both.
  ///
  /// - Throws: `ChainruleError.invalidValue` for k < 1. From the number of classes on, it is 1.
  public func topAccuracy(_ k: Int) throws(ChainruleError) -> Double {
    guard k >= 1 else { throw .invalidValue(name: "k", value: "\(k)", expected: "at least 1") }
    if k >= classLabels.count { return 1 }
    if isSingle {
      let hits = actual.indices.count { (outputs[$0] > 0.5) == (actual[$0] == 1) }
      return Double(hits) / Double(rows)
    }
    var hits = 0
    for (row, label) in actual.enumerated() {
      let own = outputs[row * columns + label]
      var ahead = 0  // classes with a larger score
      for other in 0..<columns where other != label {
        let score = outputs[row * columns + other]
        if score > own || (score == own && other > label) { ahead += 1 }
      }
      if ahead < k { hits += 1 }
    }
    return Double(hits) / Double(rows)
  }

  /// The area under the receiver operating characteristic of one class against the rest, 0 … 1; NaN where all
  /// rows are of that class, or none is.
  ///
  /// The probability that a row of the class has a larger score for it than a row of another, where equal
  /// scores count one half: the statistic U of Mann and Whitney over its largest value. ½ is chance.
  public func areaUnderROC(of label: Int) -> Double {
    precondition(classLabels.indices.contains(label), "class \(label) of \(classLabels.count)")
    // Of two complementary scores both have the same area.
    let (column, positive) = isSingle ? (0, 1) : (label, label)
    return areaUnderCurve(
      actual.enumerated().map { row, actual in
        (score: outputs[row * columns + column], isPositive: actual == positive)
      })
  }

  /// The area under the receiver operating characteristic of a classifier.
  ///
  /// For two classes it is that of the second, ``areaUnderROC(of:)``, whatever the averaging. For more,
  /// each class stands against the rest:
  /// - `macro`: their mean, NaN where a class does not occur;
  /// - `weighted`: their mean by the rows of each class, without those that do not occur, NaN where only one
  ///   occurs;
  /// - `micro`: every pair of a row and a class is a decision of its own, and all of them make one curve.
  public func areaUnderROC(_ averaging: ClassAveraging = .macro) -> Double {
    let classes = classLabels.count
    if classes == 2 { return areaUnderROC(of: 1) }
    switch averaging {
    case .macro:
      return classLabels.indices.reduce(0) { $0 + areaUnderROC(of: $1) } / Double(classes)
    case .weighted:
      let supports = actual.reduce(into: [Int](repeating: 0, count: classes)) { $0[$1] += 1 }
      return classLabels.indices.filter { supports[$0] > 0 }
        .reduce(0) { $0 + Double(supports[$1]) * areaUnderROC(of: $1) } / Double(rows)
    case .micro:
      return areaUnderCurve(
        outputs.enumerated().map { index, score in
          (score, isPositive: actual[index / classes] == index % classes)
        })
    }
  }

  /// The mean over the rows of -log p, where p is the score of the row's class, a probability.
  ///
  /// p is kept between ε and 1 - ε, so that no row is infinitely wrong; ε = 2⁻²³ for float32 outputs, 2⁻⁵² for
  /// float64.
  ///
  /// - Throws: `ChainruleError.invalidValue` for an output that is not between 0 and 1.
  public func logLoss() throws(ChainruleError) -> Double {
    if let index = outputs.firstIndex(where: { !(0...1 ~= $0) }) {
      throw .invalidValue(
        name: "output \(index % columns + 1) of row \(index / columns + 1)", value: "\(outputs[index])",
        expected: "a probability, 0 … 1, for the log loss")
    }
    var sum = 0.0
    for (row, label) in actual.enumerated() {
      let probability =
        isSingle ? (label == 1 ? outputs[row] : 1 - outputs[row]) : outputs[row * columns + label]
      sum -= log(min(max(probability, epsilon), 1 - epsilon))
    }
    return sum / Double(rows)
  }
}

/// U / (positives × negatives); NaN where there are none of either.
///
/// In ascending order of score, each positive counts 2 for a negative below it and 1 for one that is equal, so
/// that the sum, 2 U, is an integer.
private func areaUnderCurve(_ decisions: [(score: Double, isPositive: Bool)]) -> Double {
  let ascending = decisions.sorted { $0.score < $1.score }
  var (twiceU, positives, negatives) = (0, 0, 0)
  var start = 0
  while start < ascending.count {
    var end = start
    var tied = 0  // positives of this score
    while end < ascending.count, ascending[end].score == ascending[start].score {
      if ascending[end].isPositive { tied += 1 }
      end += 1
    }
    let others = end - start - tied
    twiceU += tied * (2 * negatives + others)
    positives += tied
    negatives += others
    start = end
  }
  return Double(twiceU) / (2 * Double(positives) * Double(negatives))
}
