import Foundation
import TestSupport
import Testing

@testable import Chainrule

/// Rows in batches of `size`, whatever size is asked for.
private struct Parts<Scalar: NetworkScalar>: BatchSource {
  let data: Dataset<Scalar>
  let size: Int
  var inputs: Int { data.inputs }
  var outputs: Int { data.outputs }
  var rowCount: Int? { nil }
  func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> DatasetBatches<Scalar> {
    try data.makeBatches(of: self.size, epoch: epoch)
  }
}

private func isClose(_ a: Double, _ b: Double) -> Bool {
  abs(a - b) <= 1e-12 * max(1, abs(b)) || a.isNaN && b.isNaN
}

@Suite("Evaluation reports")
struct EvaluationReportTests {
  /// 300 rows of 3 features, and targets of each kind with an output layer for them.
  private func cases() throws -> [(name: String, data: Dataset<Float>, output: Dense)] {
    var random = Random(state: 5)
    let x: [[Float]] = random.matrix(300, 3, scale: 1).map { $0.map(Float.init) }
    func noisy(_ value: Float) -> Float { value + Float(random.next()) }
    let binary: [[Float]] = x.map { [noisy($0[0]) > 0 ? 1 : 0] }
    let labels: [[Float]] = x.map { row in row.map { noisy($0) > 0 ? 1 : 0 } }
    // 0 and 1 in the first batches, then a number between them.
    let late: [[Float]] = binary.dropLast() + [[0.5]]
    let lateLabels: [[Float]] = labels.dropLast() + [[0, 0.5, 1]]
    let threes = x.map { noisy($0[0]) > 0 ? "c" : $0[1] > 0 ? "b" : "a" }
    return [
      (
        "two classes", try Dataset(features: x, labels: binary.map { "\($0[0])" }),
        Dense(2, activation: .softmax)
      ),
      ("three classes", try Dataset(features: x, labels: threes), Dense(3, activation: .softmax)),
      ("three scores", try Dataset(features: x, labels: threes), Dense(3, activation: .tanh)),
      ("one sigmoid", try Dataset(features: x, targets: binary), Dense(1, activation: .sigmoid)),
      ("labels", try Dataset(features: x, targets: labels), Dense(3, activation: .sigmoid)),
      ("regression", try Dataset(features: x, targets: x), Dense(3)),
      ("a regression at last", try Dataset(features: x, targets: late), Dense(1, activation: .sigmoid)),
      ("no labels at last", try Dataset(features: x, targets: lateLabels), Dense(3, activation: .sigmoid)),
    ]
  }

  @Test func `of rows in memory and in batches have the same numbers`() throws {
    for (name, data, output) in try cases() {
      let weighted = try data.withSampleWeights((0..<300).map { Float($0 % 5) + 1 })
      let network = try Network<Float>(inputs: 3, seed: 3) { output }
      let expected = try network.report(on: weighted, loss: .meanSquaredError)
      #expect(expected.evaluation == (try network.evaluate(weighted, loss: .meanSquaredError)), "\(name)")
      for size in [1, 7, 256] {
        let found = try Model(network).report(
          on: Parts(data: weighted, size: size), loss: .meanSquaredError)
        #expect(isClose(found.evaluation.loss, expected.evaluation.loss), "\(name), \(size)")
        #expect(isClose(found.evaluation.r2, expected.evaluation.r2), "\(name), \(size)")
        #expect(found.evaluation.confusionMatrix == expected.evaluation.confusionMatrix, "\(name), \(size)")
        #expect((found.evaluation.multilabel == nil) == (expected.evaluation.multilabel == nil))
        #expect(found.medianAbsoluteError == expected.medianAbsoluteError || found.medianAbsoluteError.isNaN)
        #expect((found.classScores == nil) == (expected.classScores == nil), "\(name), \(size)")
        if let found = found.classScores, let expected = expected.classScores {
          for averaging in ClassAveraging.allCases {
            #expect(found.areaUnderROC(averaging) == expected.areaUnderROC(averaging), "\(name), \(size)")
          }
          #expect(isClose(found.averagePrecision, expected.averagePrecision), "\(name), \(size)")
          #expect(isClose(found.logLoss, expected.logLoss), "\(name), \(size)")
          #expect(isClose(found.brierScore, expected.brierScore), "\(name), \(size)")
          #expect(found.bestF1?.threshold == expected.bestF1?.threshold, "\(name), \(size)")
          #expect(found.calibration == expected.calibration, "\(name), \(size)")
          #expect(try found.topAccuracy(1) == expected.topAccuracy(1), "\(name), \(size)")
          #expect(found.areProbabilities == (name != "three scores"))
        }
        #expect((found.labelScores == nil) == (expected.labelScores == nil), "\(name), \(size)")
        #expect((found.labelScores != nil) == (name == "labels"))
        if let found = found.labelScores, let expected = expected.labelScores {
          #expect(found.macroAreaUnderROC == expected.macroAreaUnderROC)
        }
      }
    }
  }

  @Test func `sample weights change the loss alone`() throws {
    for (name, data, output) in try cases() {
      let network = try Network<Float>(inputs: 3, seed: 3) { output }
      let weighted = try data.withSampleWeights((0..<300).map { Float($0 % 5) + 1 })
      let (one, other) = (
        try network.report(on: data, loss: .meanSquaredError),
        try network.report(on: weighted, loss: .meanSquaredError)
      )
      #expect(one.evaluation.loss != other.evaluation.loss, "\(name)")
      #expect(one.evaluation.confusionMatrix == other.evaluation.confusionMatrix, "\(name)")
      #expect(isClose(one.classScores?.logLoss ?? 0, other.classScores?.logLoss ?? 0), "\(name)")
      #expect(one.classScores?.areaUnderROC() ?? 0 == other.classScores?.areaUnderROC() ?? 0, "\(name)")
    }
  }

  @Test func `a source without rows is refused`() throws {
    struct Empty: BatchSource {
      struct Batches: BatchIterator {
        mutating func next() throws(ChainruleError) -> Dataset<Float>? { nil }
      }
      var (inputs, outputs) = (2, 1)
      var rowCount: Int? { nil }
      func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches { Batches() }
    }
    let network = try Network<Float>(inputs: 2, seed: 3) { Dense(1) }
    #expect(throws: ChainruleError.invalidValue(name: "rows", value: "0", expected: "at least 1")) {
      try network.report(on: Empty())
    }
  }

  // MARK: - Bounded memory

  /// U / (P · N), average precision and the best F1 in O(n log n), straight from their definitions.
  private func exact(_ scores: [(Double, Bool)]) -> (area: Double, precision: Double) {
    let descending = scores.sorted { $0.0 > $1.0 }
    let positives = Double(scores.count { $0.1 })
    var (area, precision, seen, hits) = (0.0, 0.0, 0.0, 0.0)
    var start = 0
    while start < descending.count {
      let tied = descending[start...].prefix { $0.0 == descending[start].0 }
      let p = Double(tied.count { $0.1 })
      let n = Double(tied.count) - p
      area += n * hits + n * p / 2
      hits += p
      seen += Double(tied.count)
      precision += p / positives * hits / seen
      start += tied.count
    }
    return (area / (positives * (Double(scores.count) - positives)), precision)
  }

  @Test(arguments: [8, 50, 1000, 5000]) func `beyond the limit of bins the error is within its bound`(
    limit: Int
  ) {
    var random = Random(state: 9)
    for (rarity, ties) in [(0.5, 0.0), (0.02, 0), (0.5, 20), (0.98, 1000)] {
      let decisions: [(Double, Bool)] = (0..<20_000).map { _ in
        let isPositive = (random.next() + 1) / 2 < rarity
        let score = (random.next() + (isPositive ? 0.5 : 0) + 1.5) / 3.5
        return (ties > 0 ? (score * ties).rounded() / ties : score, isPositive)
      }
      var histogram = ScoreHistogram(limit: limit)
      for (score, isPositive) in decisions { histogram.add(score, isPositive: isPositive) }
      let ranking = histogram.ranking()
      let (area, precision) = exact(decisions)
      #expect(ranking.bins.count <= limit)
      #expect(zip(ranking.bins, ranking.bins.dropFirst()).allSatisfy { $0.high < $1.low })
      #expect(ranking.bins.reduce(0) { $0 + $1.count } == 20_000)
      let found = (ranking.areaUnderROC, ranking.averagePrecision)
      #expect(abs(found.0.value - area) <= found.0.uncertainty + 1e-12)
      #expect(abs(found.1.value - precision) <= found.1.uncertainty + 1e-12)
      // What the documentation says of rows in random order.
      #expect(found.0.uncertainty <= 4 / Double(limit))
      if ties > 0, Int(ties) < limit { #expect(found.0.uncertainty == 0 && found.1.uncertainty == 0) }
    }
  }

  @Test func `scores that crowd together late, and sorted ones, are within the bound, too`() {
    var random = Random(state: 6)
    let spread = (0..<5000).map { _ in (random.next(), random.next() > 0) }
    let crowded = (0..<20_000).map { _ in (0.01 * random.next(), random.next() > 0.3) }
    let sorted = spread.sorted { $0.0 < $1.0 }
    for decisions in [spread + crowded, sorted, Array(sorted.reversed()), crowded + spread] {
      var histogram = ScoreHistogram(limit: 200)
      for (score, isPositive) in decisions { histogram.add(score, isPositive: isPositive) }
      let ranking = histogram.ranking()
      let (area, precision) = exact(decisions)
      #expect(ranking.bins.count <= 200)
      #expect(zip(ranking.bins, ranking.bins.dropFirst()).allSatisfy { $0.high < $1.low })
      let found = (ranking.areaUnderROC, ranking.averagePrecision)
      #expect(abs(found.0.value - area) <= found.0.uncertainty + 1e-12)
      #expect(abs(found.1.value - precision) <= found.1.uncertainty + 1e-12)
    }
  }

  @Test func `the median beyond the limit is within its bound`() {
    var random = Random(state: 2)
    let values = (0..<10_001).map { _ in abs(random.next()) }
    var histogram = ScoreHistogram(limit: 100)
    for value in values { histogram.add(value, isPositive: true) }
    let (median, uncertainty) = histogram.ranking().median
    #expect(uncertainty > 0 && uncertainty < 0.05)
    #expect(abs(median - values.sorted()[5000]) <= uncertainty)
    var few = ScoreHistogram(limit: 100)
    for value in [3, 1, 2, 10.0] { few.add(value, isPositive: true) }
    #expect(few.ranking().median == (2.5, 0))
    #expect(ScoreHistogram(limit: 8).ranking().median.value.isNaN)
  }
}
