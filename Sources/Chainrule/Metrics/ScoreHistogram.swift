/// The number of positive and of negative decisions at each score, in bounded memory.
///
/// Up to ``limit`` distinct scores, every score has its own bin, and everything computed from the bins is
/// exact. With more, neighbouring bins are merged while they have at most 4 · rows / limit decisions
/// together, which leaves at most ⅝ of the limit. Merged bins never overlap, so the counts at their borders
/// stay exact. A later score inside a merged bin counts as equal to the others there. With rows in random
/// order the counts of a bin stay near 4 · rows / limit; many close scores that arrive late can make it
/// larger. The members named "uncertainty" bound the error of the current bins.
struct ScoreHistogram {
  struct Bin: Equatable {
    /// The smallest and the largest score in the bin.
    var low, high: Double
    var positives, negatives: Int

    var count: Int { positives + negatives }

    init(_ score: Double, isPositive: Bool) {
      (low, high) = (score, score)
      (positives, negatives) = isPositive ? (1, 0) : (0, 1)
    }

    mutating func add(isPositive: Bool) {
      if isPositive { positives += 1 } else { negatives += 1 }
    }
  }

  /// The number of bins of one histogram, at 32 bytes each, and of all histograms of an evaluation together.
  static let (largestLimit, sharedLimit) = (1 << 18, 1 << 20)
  /// The maximum number of histograms of one evaluation.
  static let largestNumber = 1_000

  /// Returns the limit of each of `number` histograms that share the memory.
  static func limit(of number: Int) -> Int { min(largestLimit, sharedLimit / max(number, 1)) }

  /// The maximum number of bins.
  let limit: Int
  /// Ascending and disjoint.
  private var bins: [Bin] = []
  private var buffer: [(score: Double, isPositive: Bool)] = []
  private var count = 0
  private let bufferSize: Int

  init(limit: Int) {
    self.limit = max(limit, 8)
    bufferSize = max(256, limit / 4)
  }

  /// Adds a decision; `score` is finite.
  mutating func add(_ score: Double, isPositive: Bool) {
    buffer.append((score, isPositive))
    if buffer.count >= bufferSize { flush() }
  }

  /// Sorts the buffered decisions into the bins.
  private mutating func flush() {
    guard !buffer.isEmpty else { return }
    count += buffer.count
    buffer.sort { $0.score < $1.score }
    var merged: [Bin] = []
    merged.reserveCapacity(bins.count + buffer.count)
    var next = 0
    for (score, isPositive) in buffer {
      while next < bins.count, bins[next].high < score {
        merged.append(bins[next])
        next += 1
      }
      if next < bins.count, bins[next].low <= score {
        bins[next].add(isPositive: isPositive)
      } else if let last = merged.last, last.high == score {
        merged[merged.count - 1].add(isPositive: isPositive)
      } else {
        merged.append(Bin(score, isPositive: isPositive))
      }
    }
    merged.append(contentsOf: bins[next...])
    buffer.removeAll(keepingCapacity: true)
    bins = merged.count > limit ? Self.merging(merged, upTo: 4 * count / limit) : merged
  }

  /// Merges neighbouring bins that have at most `most` decisions together.
  private static func merging(_ bins: [Bin], upTo most: Int) -> [Bin] {
    var merged: [Bin] = []
    for bin in bins {
      if let last = merged.last, last.count + bin.count <= most {
        merged[merged.count - 1].high = bin.high
        merged[merged.count - 1].positives += bin.positives
        merged[merged.count - 1].negatives += bin.negatives
      } else {
        merged.append(bin)
      }
    }
    return merged
  }

  /// Returns the ranking of all decisions added.
  func ranking() -> ScoreRanking {
    var copy = self
    copy.flush()
    return ScoreRanking(bins: copy.bins)
  }
}

/// The curves over all thresholds, which depend only on the order of the scores.
struct ScoreRanking {
  /// Ascending and disjoint.
  let bins: [ScoreHistogram.Bin]
  /// Counts as Double: exact to 2⁵³, and their products do not overflow.
  let positives, negatives: Double

  init(bins: [ScoreHistogram.Bin]) {
    self.bins = bins
    positives = Double(bins.reduce(0) { $0 + $1.positives })
    negatives = Double(bins.reduce(0) { $0 + $1.negatives })
  }

  /// The area under the ROC curve: U / (positives · negatives), U of Mann and Whitney, where ties count one
  /// half; NaN without positives or without negatives. `uncertainty` bounds the error: in a merged bin every
  /// order of the positives and negatives is possible, and half of its pairs are counted.
  var areaUnderROC: (value: Double, uncertainty: Double) {
    var (twiceU, below, unordered) = (0.0, 0.0, 0.0)
    for bin in bins {
      let (p, n) = (Double(bin.positives), Double(bin.negatives))
      twiceU += p * (2 * below + n)
      below += n
      if bin.low < bin.high { unordered += p * n }
    }
    let pairs = 2 * positives * negatives
    return (twiceU / pairs, pairs > 0 ? unordered / pairs : 0)
  }

  /// Average precision: Σ (Rᵢ - Rᵢ₋₁) Pᵢ over the distinct scores from the largest down, with the precision
  /// Pᵢ and the recall Rᵢ of predicting all rows from that score up; NaN without positives.
  ///
  /// `uncertainty`: the precision at each positive of a merged bin lies between that of one positive after
  /// all negatives of the bin and that of all positives before them.
  var averagePrecision: (value: Double, uncertainty: Double) {
    var (value, uncertainty, truePositives, predicted) = (0.0, 0.0, 0.0, 0.0)
    for bin in bins.reversed() where bin.count > 0 {
      let p = Double(bin.positives)
      let least = (truePositives + 1) / (predicted + Double(bin.negatives) + 1)
      let most = (truePositives + p) / (predicted + p)
      truePositives += p
      predicted += Double(bin.count)
      let precision = truePositives / predicted
      value += p * precision
      if bin.low < bin.high, p > 0 { uncertainty += p * max(precision - least, most - precision, 0) }
    }
    return (value / positives, positives > 0 ? uncertainty / positives : 0)
  }

  /// The threshold t with the largest F₁ of predicting the positives by score > t; for equal F₁ the one
  /// nearest to ½. The scores are probabilities. `nil` without positives, or if no t ≥ 0 predicts any row.
  ///
  /// t is a short decimal number between the two scores that it separates.
  var bestF1: (threshold: Double, f1: Double)? {
    guard positives > 0 else { return nil }
    var best: (threshold: Double, f1: Double)?
    var (truePositives, predicted) = (0.0, 0.0)
    for (index, bin) in bins.enumerated().reversed() {
      truePositives += Double(bin.positives)
      predicted += Double(bin.count)
      let below = index > 0 ? bins[index - 1].high : 0
      guard below < bin.low else { continue }  // The lowest score is 0, which no threshold is below.
      let f1 = 2 * truePositives / (positives + predicted)
      if let best, f1 < best.f1 { continue }
      let threshold = shortDecimal(from: below, below: bin.low)
      if let best, f1 == best.f1, abs(threshold - 0.5) >= abs(best.threshold - 0.5) { continue }
      best = (threshold, f1)
    }
    return best
  }

  /// The median of the scores, the mean of the middle two for an even number; NaN without scores.
  /// `uncertainty`: half the widths of the bins that contain them.
  var median: (value: Double, uncertainty: Double) {
    let count = bins.reduce(0) { $0 + $1.count }
    guard count > 0 else { return (.nan, 0) }
    func middle(_ rank: Int) -> (value: Double, uncertainty: Double) {
      var seen = 0
      for bin in bins {
        seen += bin.count
        if seen > rank { return (bin.low + (bin.high - bin.low) / 2, (bin.high - bin.low) / 2) }
      }
      return (.nan, 0)
    }
    let (lower, upper) = (middle((count - 1) / 2), middle(count / 2))
    return (
      lower.value + (upper.value - lower.value) / 2, max(lower.uncertainty, upper.uncertainty)
    )
  }
}

/// ½ if it is in `low` ..< `high`, otherwise the number with the fewest decimals there that is nearest to the
/// middle; 0 ≤ low < high ≤ 1.
private func shortDecimal(from low: Double, below high: Double) -> Double {
  if low <= 0.5, 0.5 < high { return 0.5 }
  let middle = low + (high - low) / 2
  var unit = 1.0
  for _ in 1...17 {
    unit *= 10
    let number = (middle * unit).rounded() / unit
    if low <= number, number < high { return number }
  }
  return low
}
