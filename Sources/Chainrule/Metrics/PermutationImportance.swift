internal import ChainrulePlatform

/// Features that are permuted together, such as the one-hot features of one table column.
public struct FeatureGroup: Sendable, Equatable, Codable {
  /// The name of the column.
  public var name: String
  /// The features, counted from 0.
  public var features: [Int]

  /// Creates a group. The model that uses it checks that it has the features.
  public init(name: String, features: [Int]) {
    self.name = name
    self.features = features
  }
}

/// The score whose drop measures the importance of a feature; larger is better.
public enum ImportanceMetric: String, Codable, Sendable, CaseIterable {
  /// The mean of log p over the rows, with p the probability of the row's class, limited as in
  /// ``ClassScores/logLoss``. For a multi-label model, the mean over all rows and labels, with p the
  /// probability of the target.
  case logLoss
  /// The fraction of rows predicted correctly; for a multi-label model, the fraction of rows whose labels are
  /// all correct.
  case accuracy
  /// ``Evaluation/r2``; its drop is the increase of the mean squared error divided by Var(y).
  case r2
}

/// The drop of a model's score if one group of features is permuted over the rows, so that it is no longer
/// related to the targets (Breiman 2001; Fisher, Rudin and Dominici 2019).
/// ``Model/permutationImportance(on:groups:metric:repeats:seed:)`` computes it.
public struct PermutationImportance: Equatable, Codable, Sendable {
  /// The importance of one group.
  public struct Group: Equatable, Codable, Sendable {
    /// The group's name.
    public let name: String
    /// The features of the group, counted from 0.
    public let features: [Int]
    /// The drop of the score in each repeat.
    public var drops: [Double] { dropFigures.map(\.wrappedValue) }
    private let dropFigures: [Figure]
    /// The mean drop. If it is about 0 or below, the model does not need the group on these rows.
    @Figure public private(set) var mean: Double
    /// The ends of the 95 % confidence interval of the mean over all permutations: mean ± t · s / √repeats.
    ///
    /// s² = Σ (drop - mean)² / (repeats - 1), and t is the 97.5 % quantile of Student's t distribution with
    /// repeats - 1 degrees of freedom. It covers the choice of the permutations, not that of the rows.
    @Figure public private(set) var lower: Double
    /// The upper end.
    @Figure public private(set) var upper: Double

    private enum CodingKeys: String, CodingKey {
      case name, features, mean, lower, upper
      case dropFigures = "drops"
    }

    init(name: String, features: [Int], drops: [Double]) {
      self.name = name
      self.features = features
      dropFigures = drops.map { Figure(wrappedValue: $0) }
      let repeats = Double(drops.count)
      let mean = drops.reduce(0, +) / repeats
      let squares = drops.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      let half =
        studentQuantile95(degreesOfFreedom: drops.count - 1)
        * (squares / (repeats - 1) / repeats).squareRoot()
      self.mean = mean
      lower = mean - half
      upper = mean + half
    }
  }

  /// The score.
  public let metric: ImportanceMetric
  /// The score of the original rows. For ``ImportanceMetric/logLoss`` it is the negative log loss.
  @Figure public private(set) var score: Double
  /// The groups, in the order given.
  public let groups: [Group]
}

extension Model {
  /// Permutes one group of features after the other over the rows of `data`, and measures how much the score
  /// drops.
  ///
  /// Each repeat uses one random order of the rows for all groups, so that a group's result does not depend
  /// on the other groups. Every row counts the same, whatever its sample weight. It takes groups × repeats
  /// predictions of all rows, and memory for one copy of the features.
  ///
  /// - Parameters:
  ///   - data: The rows, at least 2: ideally rows that the model was not trained on.
  ///   - groups: The groups, in the order of the result; `nil` for each feature by itself.
  ///   - metric: The score; `nil` for ``ImportanceMetric/logLoss`` for a model with probabilities of classes
  ///     or labels, ``ImportanceMetric/accuracy`` for classes without, ``ImportanceMetric/r2`` for a
  ///     regression.
  ///   - repeats: The number of permutations of each group, at least 2.
  ///   - seed: Seeds the permutations. The same seed gives the same result.
  /// - Throws: `ChainruleError.shapeMismatch` for data that do not fit the model, `.invalidValue` for a group
  ///   without features, with a feature that does not exist or is named twice, for fewer than 2 rows or
  ///   repeats, and for a metric that the task does not have; `.notFinite` for outputs that are not finite.
  public func permutationImportance(
    on data: Dataset<Scalar>, groups: [FeatureGroup]? = nil, metric: ImportanceMetric? = nil,
    repeats: Int = 10, seed: UInt64 = 0
  ) throws(ChainruleError) -> PermutationImportance {
    try core.checkFits(data)
    guard data.rows >= 2 else {
      throw .invalidValue(name: "rows", value: "\(data.rows)", expected: "at least 2, to be permuted")
    }
    guard repeats >= 2 else {
      throw .invalidValue(name: "repeats", value: "\(repeats)", expected: "at least 2, for an interval")
    }
    let groups =
      groups
      ?? (0..<inputs).map {
        FeatureGroup(name: featureNames?[$0] ?? "feature \($0 + 1)", features: [$0])
      }
    for group in groups { try check(group) }
    let scorer = try ImportanceScorer(data: data, activation: core.outputActivation, metric: metric)
    let score = try scorer.score(of: predict(data.features))
    var drops = [[Double]](repeating: [], count: groups.count)
    var features = data.features
    var generator = SplitMix64(seed: seed)
    for _ in 0..<repeats {
      let order = generator.permutation(of: data.rows)
      for (index, group) in groups.enumerated() {
        copyRows(of: data.features, in: order, to: &features, columns: group.features, of: inputs)
        drops[index].append(score - (try scorer.score(of: predict(features))))
        copyRows(of: data.features, in: nil, to: &features, columns: group.features, of: inputs)
      }
    }
    return PermutationImportance(
      metric: scorer.metric, score: score,
      groups: zip(groups, drops).map { .init(name: $0.name, features: $0.features, drops: $1) })
  }

  private func check(_ group: FeatureGroup) throws(ChainruleError) {
    let name = "the group \"\(group.name)\""
    guard !group.features.isEmpty else {
      throw .invalidValue(name: name, value: "empty", expected: "at least one feature")
    }
    var seen: Set<Int> = []
    for feature in group.features {
      guard (0..<inputs).contains(feature) else {
        throw .invalidValue(
          name: "a feature of \(name)", value: "\(feature)", expected: "0 … \(inputs - 1), as the model has")
      }
      guard seen.insert(feature).inserted else {
        throw .invalidValue(name: "a feature of \(name)", value: "\(feature) twice", expected: "each once")
      }
    }
  }
}

/// The score of outputs for the targets of a data set.
private struct ImportanceScorer<Scalar: NetworkScalar> {
  let data: Dataset<Scalar>
  let activation: Activation
  let metric: ImportanceMetric
  private let task: PredictionTask

  init(data: Dataset<Scalar>, activation: Activation, metric: ImportanceMetric?) throws(ChainruleError) {
    self.data = data
    self.activation = activation
    task = PredictionTask(of: data, activation: activation)
    let possible: [ImportanceMetric] =
      switch task {
      case .classes(single: true), .labels: [.logLoss, .accuracy, .r2]
      case .classes(single: false): activation == .softmax ? [.logLoss, .accuracy, .r2] : [.accuracy, .r2]
      case .regression: [.r2]
      }
    self.metric = metric ?? possible[0]
    guard possible.contains(self.metric) else {
      throw .invalidValue(
        name: "the metric", value: self.metric.rawValue,
        expected: possible.map(\.rawValue).joined(separator: " or ") + " for this model and data set")
    }
  }

  func score(of outputs: [Scalar]) throws(ChainruleError) -> Double {
    if metric == .logLoss {
      try checkOutputs(outputs, of: data)
      return -meanLogLoss(outputs, targets: data.targets, ofEachOutput: task != .classes(single: false))
    }
    let evaluation = try Evaluation(loss: 0, outputs: outputs, dataset: data, activation: activation)
    if metric == .r2 { return evaluation.r2 }
    return evaluation.multilabel?.subsetAccuracy ?? evaluation.accuracy
  }
}

/// The mean of -log p, p limited to ε … 1 - ε. With `ofEachOutput`, p is an output's probability of its
/// target, 0 or 1; otherwise the output of the row's class.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func meanLogLoss<Scalar: NetworkScalar>(
  _ outputs: [Scalar], targets: [Scalar], ofEachOutput: Bool
) -> Double {
  let epsilon = Double(Scalar.ulpOfOne)
  var (sum, count) = (0.0, 0)
  for index in outputs.indices where ofEachOutput || targets[index] == 1 {
    let output = Double(outputs[index])
    let probability = targets[index] == 1 ? output : 1 - output
    sum -= log(min(max(probability, epsilon), 1 - epsilon))
    count += 1
  }
  return sum / Double(count)
}

/// Copies `columns` of the row-major matrix `source`, of width `width`, to `target`: row order[i] to row i,
/// or each row to itself.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func copyRows<Scalar: NetworkScalar>(
  of source: [Scalar], in order: [Int]?, to target: inout [Scalar], columns: [Int], of width: Int
) {
  for row in 0..<source.count / width {
    let from = order.map { $0[row] } ?? row
    for column in columns { target[row * width + column] = source[from * width + column] }
  }
}

/// The 97.5 % quantile t of Student's t distribution: P(-t < T < t) = 0.95.
///
/// P is a finite sum for whole degrees of freedom ν (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4);
/// bisection finds t. Above ν = 10,000 it uses ν = 10,000, which is within 0.0003 of every larger ν.
func studentQuantile95(degreesOfFreedom: Int) -> Double {
  let nu = Double(min(degreesOfFreedom, 10_000))
  func probability(_ t: Double) -> Double {
    let angle = atan(t / nu.squareRoot())
    let (sine, squaredCosine) = (sin(angle), cos(angle) * cos(angle))
    if nu.truncatingRemainder(dividingBy: 2) == 0 {
      // sin θ (1 + ½ cos² θ + (1 · 3)/(2 · 4) cos⁴ θ + … to cos^(ν-2) θ)
      var (term, sum) = (1.0, 1.0)
      for k in stride(from: 2, to: nu, by: 2) {
        term *= (k - 1) / k * squaredCosine
        sum += term
      }
      return sine * sum
    }
    // 2/π (θ + sin θ (cos θ + 2/3 cos³ θ + … to cos^(ν-2) θ))
    var (term, sum) = (cos(angle), 0.0)
    for k in stride(from: 1, to: nu, by: 2) {
      if k > 1 { term *= (k - 1) / k * squaredCosine }
      sum += term
    }
    return 2 / Double.pi * (angle + sine * sum)
  }
  var (low, high) = (1.0, 13.0)  // t is 12.706 for ν = 1 and falls to 1.960.
  for _ in 0..<60 {
    let middle = (low + high) / 2
    if probability(middle) < 0.95 { low = middle } else { high = middle }
  }
  return (low + high) / 2
}
