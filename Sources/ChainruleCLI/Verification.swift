import Chainrule
import ChainruleExplain
import ChainruleReference

/// The C core held against the pure-Swift reference, on random networks in float64.
///
/// Both start from the same parameters and train on the same batches. The error of a number is relative to
/// the largest magnitude in its array (``Agreement``); the arrays are each layer's weights and bias, and the
/// losses of the steps so far.
struct Verification {
  /// The largest error allowed after so many steps: the rounding of one step, and that of ten, each of which
  /// trains on what the ones before rounded.
  static let limits = [(steps: 1, error: 1e-12), (steps: 10, error: 1e-9)]

  var cases: Int
  /// Case k is drawn from seed + k, so that each can be drawn alone.
  var seed: UInt64

  func run() throws -> Report {
    var report = Report(cases: cases, seed: seed)
    for number in 0..<UInt64(cases) {
      let verificationCase = Case(seed: seed &+ number)
      report.take(try verificationCase.compare(), of: verificationCase)
    }
    return report
  }
}

// MARK: - One case

extension Verification {
  /// A network, a loss, an optimizer and ten batches, all drawn at random.
  ///
  /// The numbers are continuous, so that a z lies within rounding of the kink of relu, or an a within
  /// rounding of that of a loss, in one case of many millions: there the two could rightly take different
  /// sides. Learning rates and ε are moderate, so that ten steps do not magnify rounding a millionfold: a rule
  /// that divides g by its own size makes a full step of a g that is all cancellation, unless ε is above that.
  /// Of rprop and lion, which take the sign of g, no ε is, and they go without the losses whose δ has one size, so
  /// that it may cancel over the rows.
  struct Case {
    let seed: UInt64
    let inputs: Int
    let layers: [Dense]
    let loss: Chainrule.Loss
    let optimizer: Chainrule.Optimizer
    let parameters: [ChainruleReference.Layer<Double>]
    let batches: [Batch]

    struct Batch {
      var x: [[Double]]
      var y: [[Double]]
      var sampleWeights: [Double]?
    }

    init(seed: UInt64) {
      var random = SplitMix64(seed: seed)
      self.seed = seed
      inputs = random.integer(1...40)
      loss = random.element(Chainrule.Loss.allCases)
      layers = random.layers(for: loss)
      optimizer = random.optimizer(for: loss)

      var width = inputs
      parameters = layers.map { layer in
        // The scale of Glorot's initialiser: what flows through the layers stays of the size of the data.
        let scale = (6 / Double(width + layer.units)).squareRoot()
        defer { width = layer.units }
        return ChainruleReference.Layer(
          weights: random.matrix(layer.units, width, in: -scale...scale),
          bias: layer.bias ? random.row(layer.units, in: -0.5...0.5) : nil,
          activation: ChainruleReference.Activation(rawValue: layer.activation.rawValue)!)
      }

      let (inputs, outputs, loss) = (inputs, width, loss)
      let isWeighted = random.chance(0.3)
      batches = (0..<limits.last!.steps).map { _ in
        let rows = random.integer(1...17)
        return Batch(
          x: random.matrix(rows, inputs, in: -1...1),
          y: (0..<rows).map { _ in random.target(outputs, for: loss) },
          sampleWeights: isWeighted ? random.row(rows, in: 0.1...2) : nil)
      }
    }
  }
}

extension SplitMix64 {
  /// A number in `range`, each of 2⁵³ equally likely.
  fileprivate mutating func number(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * Double(next() >> 11) * 0x1p-53
  }

  fileprivate mutating func integer(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next(below: UInt64(range.count)))
  }

  fileprivate mutating func element<Element>(_ elements: [Element]) -> Element {
    elements[integer(0...elements.count - 1)]
  }

  fileprivate mutating func chance(_ probability: Double) -> Bool { number(in: 0...1) < probability }

  fileprivate mutating func row(_ count: Int, in range: ClosedRange<Double>) -> [Double] {
    (0..<count).map { _ in number(in: range) }
  }

  fileprivate mutating func matrix(_ rows: Int, _ columns: Int, in range: ClosedRange<Double>) -> [[Double]] {
    (0..<rows).map { _ in row(columns, in: range) }
  }

  /// One to four layers; the last has an activation that the loss can have.
  fileprivate mutating func layers(for loss: Chainrule.Loss) -> [Dense] {
    let hidden = Chainrule.Activation.allCases.filter { $0 != .softmax }
    let outputs: [Chainrule.Activation] =
      switch loss {
      case .binaryCrossEntropy: [.sigmoid]
      case .crossEntropy: [.softmax]
      case .poisson: [.sigmoid, .softplus, .softmax]
      case .halfSquaredError, .meanSquaredError, .meanAbsoluteError, .huber, .logCosh, .hinge:
        Chainrule.Activation.allCases
      }
    let count = integer(1...4)
    return (1...count).map { number in
      let activation = element(number == count ? outputs : hidden)
      // The softmax of a single number is 1, whatever its parameters.
      let units = integer(activation == .softmax ? 2...40 : 1...40)
      return Dense(units, activation: activation, bias: chance(0.8))
    }
  }

  /// What the loss can have for a target.
  fileprivate mutating func target(_ outputs: Int, for loss: Chainrule.Loss) -> [Double] {
    switch loss {
    case .halfSquaredError, .meanSquaredError, .meanAbsoluteError, .huber, .logCosh:
      return row(outputs, in: -2...2)
    case .binaryCrossEntropy:
      return row(outputs, in: 0...1)
    case .poisson:
      return row(outputs, in: 0...3)
    case .crossEntropy:
      let distribution = row(outputs, in: 0...1)
      let sum = distribution.reduce(0, +)
      return distribution.map { $0 / sum }
    case .hinge:
      return (0..<outputs).map { _ in chance(0.5) ? 1 : -1 }
    }
  }

  fileprivate mutating func optimizer(for loss: Chainrule.Loss) -> Chainrule.Optimizer {
    let names = Chainrule.Optimizer.names.filter { name in
      loss != .meanAbsoluteError && loss != .hinge || name != "rprop" && name != "lion"
    }
    let η = number(in: 0.001...0.02)
    let λ = chance(0.5) ? number(in: 0...0.1) : 0
    let μ = chance(0.5) ? number(in: 0.1...0.9) : 0
    let ε = [1e-3, 1e-4, 1e-5, 1e-6][integer(0...3)]
    let (β1, β2) = (number(in: 0.5...0.95), number(in: 0.9...0.999))
    let λ1 = chance(0.3) ? number(in: 0...0.01) : 0
    let amsgrad = chance(0.5)
    switch element(names) {
    case "sgd":
      return .sgd(learningRate: η, momentum: μ, nesterov: μ > 0 && chance(0.5), weightDecay: λ, l1: λ1)
    case "adagrad": return .adagrad(learningRate: η, epsilon: ε, weightDecay: λ, l1: λ1)
    case "rmsprop":
      return .rmsprop(
        learningRate: η / 10, alpha: β2, epsilon: ε, momentum: μ, centered: chance(0.5), weightDecay: λ,
        l1: λ1)
    case "adam":
      return .adam(
        learningRate: η, beta1: β1, beta2: β2, epsilon: ε, amsgrad: amsgrad, weightDecay: λ, l1: λ1)
    case "adamw":
      return .adamw(
        learningRate: η, beta1: β1, beta2: β2, epsilon: ε, amsgrad: amsgrad, weightDecay: λ, l1: λ1)
    case "adadelta":
      return .adadelta(learningRate: 50 * η, rho: β1, epsilon: ε, weightDecay: λ, l1: λ1)
    case "adamax":
      return .adamax(learningRate: η, beta1: β1, beta2: β2, epsilon: ε, weightDecay: λ, l1: λ1)
    case "nadam":
      return .nadam(
        learningRate: η, beta1: β1, beta2: β2, epsilon: ε, momentumDecay: number(in: 0...20), weightDecay: λ,
        l1: λ1)
    case "rprop":
      return .rprop(
        learningRate: η, etaMinus: number(in: 0.1...0.9), etaPlus: number(in: 1.1...1.5), stepMin: η / 4,
        stepMax: 2 * η, weightDecay: λ, l1: λ1)
    case "lion": return .lion(learningRate: η, beta1: β1, beta2: β2, weightDecay: λ, l1: λ1)
    case let name: preconditionFailure("no random numbers for \(name)")
    }
  }
}

// MARK: - Training both

extension Verification.Case {
  /// The worst error after each of the limits' steps.
  ///
  /// - Parameter prepare: What is done to the reference before it trains; a test plants an error with it.
  func compare(
    preparing prepare: (inout ChainruleReference.Network<Double>) -> Void = { _ in }
  ) throws -> [Agreement] {
    let network = try Chainrule.Network<Double>(inputs: inputs, layers: layers.map { .dense($0) })
    for (index, layer) in parameters.enumerated() {
      var parameters = try network.parameters(ofLayer: index)
      parameters.weights = layer.weights.flatMap(\.self)
      parameters.bias = layer.bias
      try network.setParameters(parameters, ofLayer: index)
    }
    let core = try Chainrule.Trainer(network, loss: loss, optimizer: optimizer)

    var start = ChainruleReference.Network(layers: parameters)
    prepare(&start)
    var reference = ChainruleReference.Trainer(
      network: start, loss: ChainruleReference.Loss(rawValue: loss.rawValue)!,
      optimizer: ChainruleReference.Optimizer(optimizer))

    var (found, expected): ([Double], [Double]) = ([], [])
    var agreements: [Agreement] = []
    for (batch, step) in zip(batches, 1...) {
      found.append(
        try core.step(
          Dataset(features: batch.x, targets: batch.y, sampleWeights: batch.sampleWeights)))
      expected.append(reference.step(x: batch.x, y: batch.y, sampleWeights: batch.sampleWeights).loss)
      guard Verification.limits.contains(where: { $0.steps == step }) else { continue }

      var agreement = Agreement()
      agreement.compare(found, with: expected, "the losses")
      for (index, layer) in reference.network.layers.enumerated() {
        let parameters = try network.parameters(ofLayer: index)
        agreement.compare(
          parameters.weights, with: layer.weights.flatMap(\.self), "the weights of layer \(index + 1)")
        agreement.compare(parameters.bias ?? [], with: layer.bias ?? [], "the bias of layer \(index + 1)")
      }
      agreements.append(agreement)
    }
    return agreements
  }
}

extension ChainruleReference.Optimizer<Double> {
  /// The same rule with the same numbers.
  init(_ optimizer: Chainrule.Optimizer) {
    switch optimizer {
    case .sgd(let η, let μ, let nesterov, let λ, let λ1):
      self = .sgd(learningRate: η, momentum: μ, nesterov: nesterov, weightDecay: λ, l1: λ1)
    case .adagrad(let η, let ε, let λ, let λ1):
      self = .adagrad(learningRate: η, epsilon: ε, weightDecay: λ, l1: λ1)
    case .rmsprop(let η, let α, let ε, let μ, let centered, let λ, let λ1):
      self = .rmsprop(
        learningRate: η, alpha: α, epsilon: ε, momentum: μ, centered: centered, weightDecay: λ, l1: λ1)
    case .adam(let η, let β1, let β2, let ε, let amsgrad, let λ, let λ1):
      self = .adam(
        learningRate: η, beta1: β1, beta2: β2, epsilon: ε, amsgrad: amsgrad, weightDecay: λ, l1: λ1)
    case .adamw(let η, let β1, let β2, let ε, let amsgrad, let λ, let λ1):
      self = .adamw(
        learningRate: η, beta1: β1, beta2: β2, epsilon: ε, amsgrad: amsgrad, weightDecay: λ, l1: λ1)
    case .adadelta(let η, let ρ, let ε, let λ, let λ1):
      self = .adadelta(learningRate: η, rho: ρ, epsilon: ε, weightDecay: λ, l1: λ1)
    case .adamax(let η, let β1, let β2, let ε, let λ, let λ1):
      self = .adamax(learningRate: η, beta1: β1, beta2: β2, epsilon: ε, weightDecay: λ, l1: λ1)
    case .nadam(let η, let β1, let β2, let ε, let ψ, let λ, let λ1):
      self = .nadam(
        learningRate: η, beta1: β1, beta2: β2, epsilon: ε, momentumDecay: ψ, weightDecay: λ, l1: λ1)
    case .rprop(let η, let ηMinus, let ηPlus, let stepMin, let stepMax, let λ, let λ1):
      self = .rprop(
        learningRate: η, etaMinus: ηMinus, etaPlus: ηPlus, stepMin: stepMin, stepMax: stepMax,
        weightDecay: λ, l1: λ1)
    case .lion(let η, let β1, let β2, let λ, let λ1):
      self = .lion(learningRate: η, beta1: β1, beta2: β2, weightDecay: λ, l1: λ1)
    }
  }
}

extension Verification.Case: CustomStringConvertible {
  /// "13 → 7 relu → 3 softmax (no bias), crossEntropy, adam, sample weights"
  var description: String {
    let layers = layers.map { "\($0.units) \($0.activation)\($0.bias ? "" : " (no bias)")" }
    let weighted = batches[0].sampleWeights == nil ? "" : ", sample weights"
    return "\((["\(inputs)"] + layers).joined(separator: " → ")), \(loss), \(optimizer.name)\(weighted)"
  }
}

// MARK: - Report

extension Verification {
  /// The worst that was found.
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
        // Not ≤, which is false of NaN: what is not a number is worst of all.
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
