/// How well predicted probabilities match observed frequencies.
///
/// The confidence of a row is its largest probability, and the row is correct if the class with that
/// probability is the actual one. The rows are grouped by confidence into ``bins`` of equal width over 0 … 1;
/// bin m of M has the confidences in ((m - 1)/M, m/M] (Guo et al. 2017, "On Calibration of Modern Neural
/// Networks").
public struct Calibration: Equatable, Codable, Sendable {
  /// The rows with a confidence in one interval.
  public struct Bin: Equatable, Codable, Sendable {
    /// The interval: lower < confidence ≤ upper.
    public let lower, upper: Double
    /// The number of rows.
    public fileprivate(set) var rows = 0
    /// The sum of the confidences, and the number of rows predicted correctly.
    fileprivate var sum = 0.0
    fileprivate var correct = 0

    /// The mean confidence of the rows; NaN without rows.
    public var confidence: Double { sum / Double(rows) }
    /// The fraction of the rows predicted correctly; NaN without rows.
    public var accuracy: Double { Double(correct) / Double(rows) }
  }

  /// The number of bins.
  public static let binCount = 15

  /// The bins, by ascending confidence.
  public private(set) var bins: [Bin] = (0..<binCount).map {
    Bin(lower: Double($0) / Double(binCount), upper: Double($0 + 1) / Double(binCount))
  }

  init() {}

  /// Adds a row; a confidence that is outside 0 … 1 by rounding counts as 0 or 1.
  mutating func add(confidence: Double, isCorrect: Bool) {
    let confidence = min(max(confidence, 0), 1)
    // The product can round across a border; the borders themselves decide.
    var index = min(Int(confidence * Double(Self.binCount)), Self.binCount - 1)
    if confidence > bins[index].upper { index += 1 }
    if index > 0, confidence <= bins[index].lower { index -= 1 }
    bins[index].rows += 1
    bins[index].sum += confidence
    if isCorrect { bins[index].correct += 1 }
  }

  /// The expected calibration error, 0 … 1: Σ over the bins of rows in the bin / all rows · |accuracy -
  /// confidence|. NaN without rows.
  public var expectedError: Double {
    let rows = bins.reduce(0) { $0 + Double($1.rows) }
    return bins.reduce(0) { $0 + abs(Double($1.correct) - $1.sum) } / rows
  }
}
