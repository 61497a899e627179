internal import ChainrulePlatform

/// How well a classifier's outputs rank and weigh the classes; an ``EvaluationReport`` has them.
///
///     let scores = try network.report(on: test).classScores!
///     print(scores.areaUnderROC(.macro), try scores.topAccuracy(3), scores.logLoss)
///
/// The score of a row for a class is its output for it. A single output a is the score of class "1", and 1 -
/// a that of class "0". Every row counts the same, whatever its sample weight.
///
/// Areas and average precision are exact for up to 2¹⁸ = 262,144 distinct scores of a class, or 2²⁰ /
/// (classes + 1) with more than 2 classes if that is less. For more, neighbouring scores share a bin; each
/// figure has an `uncertainty`, the largest error this can cause, which is 0 while the figure is exact.
public struct ClassScores: Equatable, Codable, Sendable {
  /// A threshold on a probability, and the F₁ that it gives.
  public struct BestF1: Equatable, Codable, Sendable {
    /// The threshold, 0 … 1.
    @Figure public private(set) var threshold: Double
    /// F₁ of the second class, 0 … 1.
    @Figure public private(set) var f1: Double
  }

  /// The classes, in the order of the outputs; "0" and "1" for a single output.
  public let classLabels: [String]
  /// The number of rows.
  public let rows: Int
  /// Whether the outputs of a row are the probabilities of the classes: they come from softmax, or from a
  /// single sigmoid output. ``logLoss``, ``brierScore``, ``bestF1`` and ``calibration`` need it.
  public let areProbabilities: Bool
  /// The largest possible difference of any area under a ROC curve here from its exact value; 0 if all are
  /// exact.
  @Figure public private(set) var areaUnderROCUncertainty: Double
  /// The average precision of the second of two classes, 0 … 1; NaN for another number of classes, or if the
  /// second does not occur.
  ///
  /// Σ (Rᵢ - Rᵢ₋₁) Pᵢ over the distinct scores from the largest down, with the precision Pᵢ and the recall Rᵢ
  /// of predicting the class for all rows from that score up.
  @Figure public private(set) var averagePrecision: Double
  /// The largest possible difference of ``averagePrecision`` from its exact value.
  @Figure public private(set) var averagePrecisionUncertainty: Double
  /// The mean over the rows of -log p, with p the probability of the row's class; NaN without probabilities.
  ///
  /// p is limited to ε … 1 - ε, so that no row has an infinite loss; ε = 2⁻²³ for float32 outputs, 2⁻⁵² for
  /// float64.
  @Figure public private(set) var logLoss: Double
  /// The mean over the rows of (p - y)², with p the probability of the second class and y = 1 for a row of
  /// it, else 0 (Brier 1950); NaN without probabilities, or for another number of classes than two.
  @Figure public private(set) var brierScore: Double
  /// The threshold on the probability of the second of two classes with the largest F₁ of that class, and
  /// that F₁. A row is predicted as the second class if its probability is above the threshold. Among
  /// thresholds with equal F₁ it is the one nearest to ½. `nil` without probabilities, for another number of
  /// classes, or if the second class does not occur.
  public let bestF1: BestF1?
  /// The agreement of the probabilities with observed frequencies; `nil` without probabilities.
  public let calibration: Calibration?

  /// The number of rows of each class.
  private let supports: [Int]
  /// [r]: the number of rows for which r classes have larger scores than the row's own.
  private let ranks: [Int]
  /// The area of each class against the rest; empty if there are too many classes to rank.
  private let areas: [Figure]
  @Figure private var microArea: Double

  fileprivate init(_ sum: ClassScoreSum) {
    classLabels = sum.classLabels
    rows = sum.rows
    areProbabilities = sum.areProbabilities
    supports = sum.supports
    ranks = sum.ranks
    let rankings = sum.histograms.map { $0.ranking() }
    var found = rankings.map(\.areaUnderROC)
    // For complementary scores the areas of both classes are the same.
    if sum.isSingle { found = [found[0], found[0]] }
    areas = found.map { Figure(wrappedValue: $0.value) }
    let micro = sum.micro?.ranking().areaUnderROC ?? (value: .nan, uncertainty: 0)
    microArea = micro.value
    areaUnderROCUncertainty = (found + [micro]).map(\.uncertainty).max() ?? 0
    let precision =
      classLabels.count == 2
      ? rankings.last!.averagePrecision : (value: .nan, uncertainty: 0)
    averagePrecision = precision.value
    averagePrecisionUncertainty = precision.uncertainty
    logLoss = areProbabilities ? sum.logLoss / Double(rows) : .nan
    brierScore = areProbabilities && classLabels.count == 2 ? sum.squares / Double(rows) : .nan
    bestF1 = areProbabilities && classLabels.count == 2 ? rankings.last!.bestF1.map(BestF1.init) : nil
    calibration = areProbabilities ? sum.calibration : nil
  }

  /// Returns the fraction of rows whose class is among the `k` with the largest scores, 0 … 1.
  ///
  /// If scores are equal, the later class counts as the larger, as in scikit-learn's `top_k_accuracy_score`;
  /// in ``Evaluation/accuracy`` the first one does. A single output of ½ is class "0" in both.
  ///
  /// - Throws: `ChainruleError.invalidValue` for k < 1. For k ≥ the number of classes it is 1.
  public func topAccuracy(_ k: Int) throws(ChainruleError) -> Double {
    guard k >= 1 else { throw .invalidValue(name: "k", value: "\(k)", expected: "at least 1") }
    return ranks.prefix(k).reduce(0) { $0 + Double($1) } / Double(rows)
  }

  /// Returns the area under the receiver operating characteristic of one class against the rest, 0 … 1; NaN
  /// if all rows or no rows belong to that class, and for more than 1,000 classes.
  ///
  /// This is the probability that a row of the class has a larger score for it than a row of another class,
  /// where equal scores count one half: U of Mann and Whitney divided by its largest value. ½ is chance.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such class.
  public func areaUnderROC(of label: Int) throws(ChainruleError) -> Double {
    try checkIndex(label, within: classLabels.count, name: "the class")
    return areas.indices.contains(label) ? areas[label].wrappedValue : .nan
  }

  /// Returns the area under the receiver operating characteristic of a classifier; NaN for more than 1,000
  /// classes.
  ///
  /// For two classes it is that of the second, ``areaUnderROC(of:)``, whatever the averaging. For more,
  /// each class is compared with the rest:
  /// - `macro`: their mean, NaN if a class does not occur;
  /// - `weighted`: their mean weighted by the rows of each class, without those that do not occur; NaN if
  ///   only one occurs;
  /// - `micro`: every pair of a row and a class is a decision, and all of them make one curve.
  public func areaUnderROC(_ averaging: ClassAveraging = .macro) -> Double {
    if areas.isEmpty { return .nan }
    if areas.count == 2 { return areas[1].wrappedValue }
    switch averaging {
    case .macro: return areas.reduce(0) { $0 + $1.wrappedValue } / Double(areas.count)
    case .weighted:
      return zip(areas, supports).filter { $1 > 0 }
        .reduce(0) { $0 + Double($1.1) * $1.0.wrappedValue } / Double(rows)
    case .micro: return microArea
    }
  }
}

/// The sums and histograms that ``ClassScores`` are computed from.
struct ClassScoreSum {
  let classLabels: [String]
  /// Whether one output represents two classes.
  let isSingle: Bool
  /// Whether every output so far can be a probability, according to its activation, or to its value if that
  /// is unknown.
  private(set) var areProbabilities: Bool
  private let isActivationKnown: Bool
  private let columns: Int
  private(set) var rows = 0
  private(set) var supports, ranks: [Int]
  /// One for each output.
  private(set) var histograms: [ScoreHistogram]
  /// The histogram of all pairs of a row and a class, for more than two classes.
  private(set) var micro: ScoreHistogram?
  private(set) var (logLoss, squares) = (0.0, 0.0)
  private(set) var calibration = Calibration()

  /// Creates empty sums for batches like `batch`. `activation` is that of the outputs; `nil` if unknown.
  init<Scalar: NetworkScalar>(like batch: Dataset<Scalar>, activation: Activation?) {
    let isSingle = batch.classLabels == nil
    self.isSingle = isSingle
    classLabels = batch.classLabels ?? ["0", "1"]
    columns = batch.outputs
    isActivationKnown = activation != nil
    areProbabilities = activation.map { isSingle ? $0.isProbability : $0 == .softmax } ?? true
    let classes = classLabels.count
    (supports, ranks) = (Array(repeating: 0, count: classes), Array(repeating: 0, count: classes))
    if classes <= ScoreHistogram.largestNumber {
      let limit = ScoreHistogram.limit(of: classes > 2 ? classes + 1 : columns)
      histograms = Array(repeating: ScoreHistogram(limit: limit), count: columns)
      if classes > 2 { micro = ScoreHistogram(limit: limit) }
    } else {
      histograms = []
    }
  }

  /// Adds a batch of the same classes.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func add<Scalar: NetworkScalar>(outputs: [Scalar], of batch: Dataset<Scalar>) {
    let epsilon = Double(Scalar.ulpOfOne)
    for row in 0..<batch.rows {
      let first = row * columns
      var actual = 0
      var top = 0  // the first column with the largest score
      for column in 0..<columns {
        if batch.targets[first + column] == 1 { actual = isSingle ? 1 : column }
        if outputs[first + column] > outputs[first + top] { top = column }
        if !isActivationKnown, !(0...1 ~= outputs[first + column]) { areProbabilities = false }
      }
      let own: Double
      let confidence: Double
      if isSingle {
        let score = Double(outputs[row])
        top = score > 0.5 ? 1 : 0
        own = actual == 1 ? score : 1 - score
        confidence = max(score, 1 - score)
        ranks[top == actual ? 0 : 1] += 1
      } else {
        own = Double(outputs[first + actual])
        confidence = Double(outputs[first + top])
        var ahead = 0
        for other in 0..<columns where other != actual {
          let score = outputs[first + other]
          if score > outputs[first + actual] || (score == outputs[first + actual] && other > actual) {
            ahead += 1
          }
        }
        ranks[ahead] += 1
      }
      if areProbabilities {
        logLoss -= log(min(max(own, epsilon), 1 - epsilon))
        calibration.add(confidence: confidence, isCorrect: top == actual)
        if classLabels.count == 2 {
          let error = Double(outputs[first + columns - 1]) - Double(actual)
          squares += error * error
        }
      }
      for column in histograms.indices {
        let (score, isPositive) = (Double(outputs[first + column]), actual == (isSingle ? 1 : column))
        histograms[column].add(score, isPositive: isPositive)
        micro?.add(score, isPositive: isPositive)
      }
      supports[actual] += 1
    }
    rows += batch.rows
  }

  func scores() -> ClassScores { ClassScores(self) }
}
