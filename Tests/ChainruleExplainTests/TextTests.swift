import Chainrule
import Foundation
import TestSupport
import Testing

@testable import ChainruleExplain

func golden(_ name: String) throws -> StepFile {
  try #require(try goldenCases().first { $0.name == name })
}

func tutorial(_ name: String) throws -> StepFile {
  try #require(try Tutorial.all().first { $0.stepFile.name == name }).stepFile
}

/// Every kind of layer, two batches, the second of one row.
func zoo() throws -> StepFile {
  try StepFile(
    json: Data(
      """
      {"inputs": 2, "seed": 5,
       "layers": [
        {"type": "scaling", "mean": [1, -1], "deviation": [2, 0.5]},
        {"type": "dense", "units": 3, "activation": "tanh", "weights": [[1, 0.5], [-0.25, 1], [0.5, -1]], "bias": [0.1, 0, -0.2]},
        {"type": "batchNorm", "momentum": 0.25, "gamma": [1, 2, 0.5], "beta": [0, 0.5, -1], "mean": [0.5, 0, 0]},
        {"type": "activation", "activation": "silu"},
        {"type": "dropout", "rate": 0.5},
        {"type": "residual", "span": 2},
        {"type": "layerNorm", "epsilon": 0.01, "gamma": [1, 0.5, 2], "beta": [0, 1, 0]},
        {"type": "residual", "span": 5},
        {"type": "dense", "units": 2, "activation": "identity", "weights": [[1, 2, 3], [-0.5, 0.25, 1]]},
        {"type": "layerNorm", "epsilon": 0.1, "gamma": [1, 2], "beta": [0, 1]}],
       "loss": "meanSquaredError", "gradientClipNorm": 0.5, "gradientClipValue": 0.1,
       "optimizer": {"type": "sgd", "learningRate": 0.1},
       "batches": [
        {"x": [[2, 0.5], [-1, 0.25], [0, -2]], "y": [[1, 0], [0.5, 1], [0, -1]], "sampleWeights": [1, 2, 1]},
        {"x": [[1, 1]], "y": [[0, 1]]}]}
      """.utf8))
}

@Suite struct `A number in text` {
  @Test(arguments: [
    (6, 0.012345678, "0.0123457"), (6, -0.5, "−0.5"), (6, 123456.7, "123457"), (6, 1234567, "1.23457e6"),
    (6, 0.00001, "1e-5"), (6, -0.0, "0"), (6, 100, "100"), (6, 1e-300, "1e-300"), (3, 2.0 / 3, "0.667"),
    (17, 0.1, "0.10000000000000001"), (17, -1.2345678901234567e-300, "−1.2345678901234568e-300"),
    (6, .infinity, "inf"), (6, .nan, "nan"),
  ])
  func `has the digits of C's %g`(digits: Int, value: Double, text: String) {
    #expect(FormulaText(digits: digits).number(value) == text)
  }
}

@Suite struct `An explanation in text` {
  @Test func `of the first tutorial is the one of the fixture`() throws {
    let text = TextRendering()(try Explanation(tutorial("two-two-one-linear")))
    let fixture = try String(
      contentsOf: fixtures.appending(path: "explain/two-two-one-linear.txt"), encoding: .utf8)
    for (line, expected) in zip(text.split(separator: "\n"), fixture.split(separator: "\n")) {
      #expect(line == expected)
    }
    #expect(text == fixture)
  }

  @Test(arguments: [
    ("two-two-one-sigmoid", "z₁ = w₁₁·x₁ + w₁₂·x₂ = 0.2·1.1 + 0.4·2.2 = 1.1"),
    ("two-two-one-sigmoid", "a₂ = f(z₂) = 1/(1 + e^−1.87) = 0.866458"),
    ("two-two-one-sigmoid", "L = ½·(0.58989 − 3.3)² = 3.67235"),
    (
      "two-two-one-sigmoid",
      "δ₁ = ∂L/∂a₁·∂a₁/∂z₁ = (0.58989 − 3.3)·0.58989·(1 − 0.58989) = −0.655629"
    ),
    ("two-two-one-sigmoid", "∂L/∂a₂⁽¹⁾ = w₁₂·δ₁ = −0.1·(−0.655629) = 0.0655629"),
    (
      "two-two-one-sigmoid", "δ₂ = ∂L/∂a₂·∂a₂/∂z₂ = 0.0655629·0.866458·(1 − 0.866458) = 0.00758618"
    ),
    ("two-two-one-sigmoid", "∂L/∂w₁₂ = δ₁·a₂⁽¹⁾ = −0.655629·0.866458 = −0.568075"),
    ("two-two-one-sigmoid", "w₁₂ ← −0.1 − 0.1·(−0.568075) = −0.0431925"),
    ("two-two-two-biases", "z₁ = w₁₁·x₁ + w₁₂·x₂ + b₁ = 0.15·0.05 + 0.2·0.1 + 0.35 = 0.3775"),
    ("two-two-two-biases", "L = ½·((0.751365 − 0.01)² + (0.772928 − 0.99)²) = 0.298371"),
    (
      "two-two-two-biases",
      "∂L/∂a₁⁽¹⁾ = w₁₁·δ₁ + w₂₁·δ₂ = 0.4·0.138499 + 0.5·(−0.0380982) = 0.0363503"
    ),
    ("two-two-two-biases", "δ₁ = ∂L/∂a₁·∂a₁/∂z₁ = 0.0363503·0.59327·(1 − 0.59327) = 0.00877135"),
    ("two-two-two-biases", "∂L/∂b₁ = δ₁ = 0.00877135"),
    ("two-two-two-biases", "b₁ ← 0.35 − 0.5·0.00877135 = 0.345614"),
    ("two-two-two-biases", "a₁: 0.751365 → 0.728442"),
    ("four-two-two-one", "+ b₂ = 0.5·0.5 + 0.6·(−1) − 0.7·2 + 0.8·0.25 − 0.02 = −1.57"),
    ("four-two-two-one", "a₂ = f(z₂) = 1/(1 + e^1.57) = 0.172216"),
    ("four-two-two-one", "L = −(1·log 0.520144 + (1 − 1)·log(1 − 0.520144)) = 0.65365"),
    ("four-two-two-one", "δ₁ = ∂L/∂z₁ = 0.520144 − 1 = −0.479856"),
  ])
  func `puts the numbers in`(name: String, line: String) throws {
    let text = TextRendering().text(try Explanation(tutorial(name)), width: 1000)
    #expect(text.split(separator: "\n").contains { $0.drop { $0 == " " }.hasSuffix(line) })
  }

  @Test(arguments: [
    ("optimizer-adam", "m ← β₁·m + (1 − β₁)·g"),
    ("optimizer-adam", "m̂ = m/(1 − β₁ᵗ)"),
    ("optimizer-adam", "Optimizer  adam, η = 0.01, β₁ = 0.9, β₂ = 0.999, ε = 1e-8"),
    ("optimizer-sgd-weightdecay", "w ← w − η·(g + λ·w)"),
    ("optimizer-sgd-nesterov", "v ← μ·v + g,  w ← w − η·(g + μ·v)"),
    ("optimizer-adam-amsgrad", "v′ ← max(v′, v)"),
    ("optimizer-adadelta", "Optimizer  adadelta, η = 1, ρ = 0.9, ε = 1e-6\n"),
    ("optimizer-adadelta", "d = g·√((u + ε)/(s + ε)),  u ← ρ·u + (1 − ρ)·d²,  w ← w − η·d"),
    ("optimizer-adamax", "s ← max(β₂·s, |g| + ε)"),
    ("optimizer-nadam", "Optimizer  nadam, η = 0.01, β₁ = 0.9, β₂ = 0.999, ε = 1e-8, ψ = 0.004\n"),
    ("optimizer-nadam", "μ = β₁·(1 − ½·0.96^(t·ψ))"),
    ("optimizer-rprop", "Optimizer  rprop, η = 0.01, η⁻ = 0.5, η⁺ = 1.2, s₋ = 1e-6, s₊ = 50\n"),
    ("optimizer-rprop", "s ← η⁺·s if q > 0, else η⁻·s if q < 0, else s"),
    ("optimizer-lion", "c = β₁·m + (1 − β₁)·g,  w ← w − η·sign(c),  m ← β₂·m + (1 − β₂)·g"),
    ("regularised-lion", "g ← g + λ₁·sign(w),  c = β₁·m + (1 − β₁)·g,  w ← w − η·(sign(c) + λ·w)"),
    ("regularised-nadam", "ψ = 0.004, λ = 0.05, λ₁ = 0.02\n"),
    ("regularised-nadam", "g ← g + λ·w + λ₁·sign(w),  m ← β₁·m + (1 − β₁)·g"),
    ("loss-huber-weighted", "L = Σ w·l/Σ w"),
    ("loss-crossEntropy", "δⱼ = ∂L/∂zⱼ = s·(aⱼ − yⱼ),  s = 1/rows"),
    ("softmax-through-mse", "δⱼ = Σₖ gₖ·∂aₖ/∂zⱼ = aⱼ·(gⱼ − Σₖ gₖ·aₖ)"),
    ("activation-gelu", "f(z) = ½·z·(1 + erf(z/√2))"),
    ("batch-norm", "∂L/∂γⱼ = Σδzⱼ = Σ δⱼ·zⱼ,  ∂L/∂βⱼ = Σδⱼ = Σ δⱼ,  Σ is over the rows"),
  ])
  func `states the formula`(name: String, formula: String) throws {
    #expect(TextRendering().text(try Explanation(golden(name)), width: 1000).contains(formula))
  }

  @Test(arguments: [
    "inputs → scaling → 3 tanh → batchNorm → silu → dropout 0.5 → residual (2) → layerNorm → residual (5) → 2 id",
    "Gradients  clipped, ‖g‖ to 0.5, then each to ±0.1",
    "Layer 1, scaling\n        aⱼ = (xⱼ − mⱼ)/sⱼ\n        a₁ = (2 − 1)/2 = 0.5",
    "σ²₁ = ((0.970452 − 0.140492)² + (0.336376 − 0.140492)² + (−0.885352 − 0.140492)²)/3 = 0.593186",
    "∂L/∂γ₁ = 0.00861104·1.0776 + 0.157905·0.254331 − 0.0012664·(−1.33193) = 0.0511261",
    "z₁ = (0.970452 − 0.140492)/√(0.593186 + 1e-5) = 1.0776",
    "Layer 4, activation silu\n        zⱼ = aⱼ⁽³⁾,  aⱼ = f(zⱼ),  f(z) = z/(1 + e⁻ᶻ)",
    "Layer 5, dropout 0.5\n        aⱼ = mⱼ·aⱼ⁽⁴⁾,  mⱼ = 1/(1 − 0.5), 0 where dropped\n        a₁ = 0·0.803933 = 0",
    "a₃ = 2·(−0.27788) = −0.555761",
    "Layer 6, residual (2)\n        aⱼ = aⱼ⁽⁵⁾ + aⱼ⁽³⁾",
    "δ = ∂L/∂z of a layer with an f, else ∂L/∂a.",
    "Layer 3, batchNorm\n      δⱼ = ∂L/∂aⱼ = δⱼ⁽⁴⁾ + δⱼ⁽⁶⁾",
    "δⱼ = ∂L/∂aⱼ = (γⱼ⁽⁷⁾·δⱼ⁽⁷⁾ − Σγδ⁽⁷⁾/n − zⱼ⁽⁷⁾·Σγδz⁽⁷⁾/n)/√(σ²⁽⁷⁾ + ε)",
    "Σγδ = 1·(−0.466068) + 2·0.682137 = 0.898205",
    "k = min(1, 0.5/(5.33817 + 1e-6)) = 0.093665",
    "mean₁ ← (1 − 0.25)·0.5 + 0.25·0.140492 = 0.410123",
    "γ₃ ← 2 − 0.1·0.1 = 1.99",
    "mean and var stay: one row has no variance",
    "The dropout drops other values now, those of the next step.",
  ])
  func `tells of layers of every kind`(line: String) throws {
    #expect(TextRendering(showsAll: true).text(try Explanation(zoo()), width: 1000).contains(line))
  }

  @Test func `tells forward, loss, and backward from the output, each layer's gradients with its δ`() throws {
    let text = TextRendering()(try Explanation(tutorial("two-two-one-linear")))
    var rest = text[...]
    for part in [
      "The network", "Symbols", "Forward", "Layer 1", "Layer 2", "Loss", "Backward", "Layer 2", "δ₁ = ",
      "∂L/∂w₁₁ = ", "∂L/∂W⁽²⁾ = δ⁽²⁾·a⁽¹⁾ᵀ", "Handed to layer 1", "W⁽²⁾ᵀ·δ⁽²⁾", "Layer 1", "δ₁ = ",
      "∂L/∂W⁽¹⁾ = δ⁽¹⁾·xᵀ", "Update", "w₁₁ ← ", "After 2 updates", "L: ",
    ] {
      let place = try #require(rest.firstRange(of: part), "\(part)")
      rest = rest[place.upperBound...]
    }
  }

  @Test func `shows the row asked for`() throws {
    let explanation = try Explanation(golden("optimizer-adam"))
    let text = TextRendering(sample: 3)(explanation)
    #expect(text.contains("Row 4 of 6") && !text.contains("Row 1 of 6") && text.contains("… 5 more rows"))
  }

  @Test func `tells of smoothed targets`() throws {
    let text = TextRendering()(try Explanation(golden("label-smoothing")))
    #expect(text.contains("Targets    smoothed, s = 0.1\n"))
    #expect(text.contains("(1 − s)·y + s/n = (0.025, 0.025, 0.025, 0.925)"))
  }

  @Test func `states L1 without weight decay, and puts its numbers in`() throws {
    var stepFile = try golden("optimizer-sgd")
    stepFile.optimizer[.l1] = 0.25
    let text = TextRendering()(try Explanation(stepFile))
    #expect(text.contains("Optimizer  sgd, η = 0.1, λ₁ = 0.25\n"))
    #expect(text.contains("    w ← w − η·(g + λ₁·sign(w))\n"))
    #expect(text.contains(" + 0.25·sign("))
  }

  @Test func `shows the digits asked for`() throws {
    let explanation = try Explanation(tutorial("two-two-one-sigmoid"))
    #expect(TextRendering(digits: 2)(explanation).contains("L = ½·(0.59 − 3.3)² = 3.7"))
    #expect(TextRendering(digits: 17)(explanation).contains(" = 3.672348"))
  }

  @Test func `leaves out most of a large batch, and says so`() throws {
    let text = TextRendering()(try Explanation(golden("odd-sizes")))
    for left in ["2 more steps", "18 more rows", "14 more neurons", "62 more neurons", "30 more weights"] {
      #expect(text.contains("… \(left)"), "\(left)")
    }
    #expect(text.contains("with --all"))
    #expect(text.split(separator: "\n").count < 500)
  }

  @Test func `leaves out nothing that is asked for`() throws {
    let text = TextRendering(showsAll: true)(try Explanation(golden("loss-crossEntropy")))
    #expect(!text.contains(" more"))
    for title in ["Step 5 of 5", "Row 6 of 6", "z₇ = ", "∂L/∂w₇₄ = ", "w₃₇ ← "] {
      #expect(text.contains(title))
    }
  }

  @Test func `ends with how well it agrees with what the file expects`() throws {
    var stepFile = try golden("sigmoid-mse-batch1")
    #expect(
      TextRendering()(try Explanation(stepFile)).contains("\nWorst relative error to what the file expects: ")
    )

    stepFile.expect?.losses[1] *= 2
    let explanation = try Explanation(stepFile)
    let agreement = try #require(explanation.agreement)
    #expect(agreement.worstError > 0.1 && agreement.place == "losses")
    #expect(
      TextRendering()(explanation).contains(", in\nlosses")
        || TextRendering()(explanation).contains(", in losses"))
  }
}

@Suite struct `A formula in text` {
  private let z: Formula = "z"
  private let text = FormulaText()

  @Test func `has no more parentheses than it needs`() {
    #expect(text(1 / (1 + .exp(-z))) == "1/(1 + e⁻ᶻ)")
    #expect(text(("a" - "y").squared) == "(a − y)²")
    #expect(text(.tanh(z) * .tanh("a" + "y")) == "tanh z·tanh(a + y)")
    #expect(text("a" - ("y" - z)) == "a − (y − z)")
    #expect(text("a" / ("y" * z)) == "a/(y·z)")
    #expect(text(√(2 / .π)) == "√(2/π)")
    #expect(text(-("a" + "y")) == "−(a + y)")
    #expect(text(.cases(z > 0, 1, else: .exp(z))) == "1 if z > 0, else eᶻ")
    #expect(text(.cases(3 > .abs(z), 1, else: 0)) == "1 if |z| < 3, else 0")
  }

  @Test func `puts negative numbers in parentheses, but for the first`() {
    #expect(text(.sum([-0.5 * 2, 0.25 * -3, -1])) == "−0.5·2 + 0.25·(−3) − 1")
    #expect(text("a" - -2) == "a − (−2)")
    #expect(text(Formula.number(-2).squared) == "(−2)²")
    #expect(text(.exp(-1.5)) == "e^−1.5")
    #expect(text(z.with(["z": -1]) * .tanh(-2)) == "−1·tanh(−2)")
  }

  @Test func `rounds numbers`() {
    #expect(text(0.1234567) == "0.123457")
    #expect(text(-0.0) == "0")
    #expect(text(1e-7) == "1e-7")
    #expect(text(Formula.number(-1.25e-9).squared) == "(−1.25e-9)²")
    #expect(FormulaText(digits: 17)(0.1) == "0.10000000000000001")
  }

  @Test func `leaves out the middle of a long sum`() {
    let text = FormulaText(terms: 3)
    #expect(text(.sum([1, 2, 3, 4, -5])) == "1 + 2 + … (2 more) − 5")
    #expect(text(.sum([1, 2, 3])) == "1 + 2 + 3")
    #expect(text.vector([1, 2, 3, 4]) == "(1, 2, … 2 more)")
  }

  @Test func `drops a division by one, and of cases those that do not apply`() {
    #expect(text((z / "n").with(["n": 1])) == "z")
    #expect(text(Formula.cases(z > 0, z, else: 0.01 * z).with(["z": -2])) == "0.01·(−2)")
    #expect(text(Formula.exp(-z).with(["z": -2])) == "e^2")
  }
}
