import Chainrule
import ChainruleExplain

/// Compares the C core with the pure-Swift reference on random networks in float64.
///
/// Both start from the same parameters and train on the same batches. The error of a number is relative to
/// the largest magnitude in its array (``Agreement``). The arrays are the losses of the steps so far, the
/// outputs and gradients of the last step, the weights, bias, γ, β and running statistics of each layer, and
/// the predictions. All gradients form one array, because some are only rounding error, such as those of a
/// bias before a batchNorm.
struct Verification {
  /// The largest accepted error after one step and after ten steps, in which rounding errors grow.
  static let limits = [(steps: 1, error: 1e-12), (steps: 10, error: 1e-9)]

  var cases: Int
  /// Case k is drawn from seed + k, so that each can be drawn alone.
  var seed: UInt64

  func run() throws -> Report {
    var report = Report(cases: cases, seed: seed)
    for number in 0..<UInt64(cases) {
      let verificationCase = try Case(seed: seed &+ number)
      report.take(try verificationCase.compare(), of: verificationCase)
    }
    return report
  }
}

// MARK: - Report

extension Verification {
  /// The largest errors found.
  struct Report {
    let cases: Int
    let seed: UInt64
    /// After each of the limits' steps; nil before the first case.
    private(set) var worst = [Worst?](repeating: nil, count: limits.count)

    struct Worst {
      var agreement: Agreement
      var verificationCase: Case
    }

    init(cases: Int, seed: UInt64) {
      self.cases = cases
      self.seed = seed
    }

    mutating func take(_ agreements: [Agreement], of verificationCase: Case) {
      for (index, agreement) in agreements.enumerated() {
        // NaN counts as the largest error, so the comparison must be false for NaN.
        let error = worst[index]?.agreement.worstError ?? -1
        if agreement.worstError <= error || error.isNaN { continue }
        worst[index] = Worst(agreement: agreement, verificationCase: verificationCase)
      }
    }

    func error(_ index: Int) -> Double { worst[index]?.agreement.worstError ?? 0 }

    func passes(_ index: Int) -> Bool { error(index) <= limits[index].error }

    var passes: Bool { limits.indices.allSatisfy(passes) }
  }
}

extension Verification.Report: CustomStringConvertible {
  var description: String {
    var text =
      "\(counted(cases, "case")), seed \(seed)\(cases == 1 ? "" : " to \(seed &+ UInt64(cases - 1))")\n"
    for (index, limit) in Verification.limits.enumerated() {
      let verdict = passes(index) ? "within" : "ABOVE"
      text += "After \(counted(limit.steps, "step")): worst relative error \(short(error(index))), "
      text += "\(verdict) the limit of \(short(limit.error))\n"
      guard let worst = worst[index], let place = worst.agreement.place else { continue }
      text += "  in \(place) of \(worst.verificationCase)\n"
      text += "  again: chainrule verify --cases 1 --seed \(worst.verificationCase.seed)\n"
    }
    return text + "The C core \(passes ? "agrees" : "DISAGREES") with the reference.\n"
  }

  var json: JSON {
    let steps: [JSON] = Verification.limits.enumerated().map { index, limit in
      let worst = worst[index]
      return .object([
        ("steps", .integer(limit.steps)),
        ("worstError", .number(error(index))),
        ("limit", .number(limit.error)),
        ("seed", worst.map { .literal("\($0.verificationCase.seed)") }),
        ("place", worst?.agreement.place.map(JSON.string)),
        ("case", worst.map { .string("\($0.verificationCase)") }),
      ])
    }
    return .object([
      ("cases", .integer(cases)), ("seed", .literal("\(seed)")), ("passes", .bool(passes)),
      ("after", .array(steps)),
    ])
  }
}
