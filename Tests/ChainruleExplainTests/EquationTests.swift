import Chainrule
import TestSupport
import Testing

@testable import ChainruleExplain

/// Steps that together have every layer, loss, activation and optimizer of the catalogue.
private func steps() throws -> [StepFile] {
  try goldenCases() + Tutorial.all().map(\.stepFile) + [zoo(), scheduled()]
}

/// Six steps with a schedule and weights that are drawn.
func scheduled() throws -> StepFile {
  var stepFile = try golden("optimizer-sgd-momentum")
  stepFile.schedule = Schedule(.step(length: 2, factor: 0.5), per: .step)
  stepFile.layers[0].weights = nil
  stepFile.layers[0].initializer = "heUniform"
  stepFile.seed = 3
  stepFile.expect = nil
  return stepFile
}

@Suite struct `Every equation shown` {
  /// The numbers put into a formula must give the value the core computed: this holds every formula of the
  /// catalogue against the core.
  @Test(arguments: try steps())
  func `is true`(stepFile: StepFile) throws {
    let walkthrough = Walkthrough(try Explanation(stepFile))
    let shown = allEquations(in: walkthrough.blocks)
    #expect(shown.count > 10)
    for equation in shown {
      let derived = try #require(equation.numbers.value, "\(equation.name) has no value")
      #expect(
        abs(derived - equation.value) <= 1e-12 * (1 + abs(equation.value)),
        "\(equation.name) = \(FormulaText(digits: 17)(equation.numbers))")
    }
  }

  private func allEquations(in blocks: [Walkthrough.Block]) -> [Walkthrough.Equation] {
    blocks.flatMap { block -> [Walkthrough.Equation] in
      switch block {
      case .section(_, let blocks): allEquations(in: blocks)
      case .equation(let equation): [equation]
      case .list(let list): (0..<list.count).flatMap { allEquations(in: list.element($0)) }
      case .paragraph, .formulas, .matrices, .vector, .change, .definitions, .table: []
      }
    }
  }

  /// What is printed is read back by an evaluator of the tests, number by number, each within its rounding.
  @Test(arguments: try steps())
  func `is true as it is printed`(stepFile: StepFile) throws {
    let text = TextRendering().text(try Explanation(stepFile), width: 100_000)
    var checked = 0
    for line in text.split(separator: "\n") where !line.contains("…") {
      let sides = line.replacing(" ← ", with: " = ").split(separator: " = ").compactMap {
        PrintedFormula.interval(of: $0.drop { $0 == " " }, digits: 6)
      }
      guard sides.count > 1, let value = sides.last else { continue }
      checked += 1
      #expect(sides.allSatisfy { $0.low <= value.high && value.low <= $0.high }, "\(line): \(sides)")
    }
    #expect(checked > 10)
  }

  /// W·a + b is z, δ·aᵀ is ∂L/∂W and Wᵀ·δ is ∂L/∂a.
  @Test(arguments: try steps())
  func `in matrix form is true`(stepFile: StepFile) throws {
    var count = 0
    func check(_ blocks: [Walkthrough.Block]) {
      for block in blocks {
        switch block {
        case .section(_, let blocks): check(blocks)
        case .list(let list): for place in 0..<min(list.count, 3) { check(list.element(place)) }
        case .matrices(let equation):
          count += 1
          var result = equation.terms[0].matrix
          for (sign, matrix) in equation.terms.dropFirst() {
            switch sign {
            case "·":
              result = result.map { row in
                matrix[0].indices.map { j in zip(row, matrix).reduce(0) { $0 + $1.0 * $1.1[j] } }
              }
            case "+": result = zip(result, matrix).map { zip($0, $1).map { $0 + $1 } }
            default:
              for (found, expected) in zip(result, matrix) {
                #expect(mismatch(found, expected, .float64HardSigmoid) == nil, "\(equation.symbols)")
              }
            }
          }
        case .paragraph, .formulas, .equation, .vector, .change, .definitions, .table: break
        }
      }
    }
    check(Walkthrough(try Explanation(stepFile)).blocks)
    #expect(count > 0)
  }

  @Test(arguments: try steps(), [(17, false), (6, true)])
  func `fits 80 columns`(stepFile: StepFile, form: (digits: Int, all: Bool)) throws {
    if form.all && stepFile.name == "odd-sizes" { return }  // A megabyte of it says no more.
    let text = TextRendering(digits: form.digits, showsAll: form.all)(try Explanation(stepFile))
    for line in text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
  }
}
