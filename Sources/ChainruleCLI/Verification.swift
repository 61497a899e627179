import Chainrule
import ChainruleExplain
import ChainruleReference

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
      let verificationCase = Case(seed: seed &+ number)
      report.take(try verificationCase.compare(), of: verificationCase)
    }
    return report
  }
}

// MARK: - One case

extension Verification {
  /// A random network, loss, optimizer, regularization, rates of layers, and ten batches.
  ///
  /// The numbers are continuous: z is within rounding error of the kink of relu, or a of that of a loss, in
  /// one case of many millions. There the core and the reference may differ. Learning rates and ε are
  /// moderate, so that ten steps do not magnify rounding a million times: a rule that divides g by its
  /// magnitude makes a full step from a g that is only rounding error, unless ε is larger. rprop and lion use
  /// the sign of g and have no ε. They are not combined with losses whose δ can cancel over the rows, nor
  /// with batchNorm, before which the g of a bias is only rounding error.
  struct Case {
    let seed: UInt64
    let inputs: Int
    let layers: [Chainrule.Layer]
    let loss: Chainrule.Loss
    let optimizer: Chainrule.Optimizer
    let regularization: Regularization
    let layerRates: [Int: Double]
    let accumulating: Int
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
      layers = random.layers(for: loss, inputs: inputs)
      optimizer = random.optimizer(for: loss, on: layers)
      var regularization = random.regularization(for: loss)

      var width = inputs
      parameters = layers.map { layer in
        defer { width = layer.units ?? width }
        return random.parameters(of: layer, inputs: width)
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

      regularization.inputNoise = random.chance(0.2) ? random.number(in: 0.01...0.5) : 0
      regularization.maxNorm = random.chance(0.2) ? random.number(in: 1...3) : nil
      self.regularization = regularization
      accumulating = random.chance(0.2) ? random.integer(2...4) : 1
      var rates: [Int: Double] = [:]
      if random.chance(0.3) {
        for layer in layers.indices where random.chance(0.5) {
          rates[layer] = random.chance(0.5) ? 0 : random.number(in: 0.1...2)
        }
      }
      layerRates = rates
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

  /// One to four dense layers and, in most networks, other layers between and after them. The last activation
  /// is one that the loss allows.
  fileprivate mutating func layers(for loss: Chainrule.Loss, inputs: Int) -> [Chainrule.Layer] {
    let outputs: [Chainrule.Activation] =
      switch loss {
      case .binaryCrossEntropy: [.sigmoid]
      case .crossEntropy: [.softmax]
      case .poisson: [.sigmoid, .softplus, .softmax]
      case .halfSquaredError, .meanSquaredError, .meanAbsoluteError, .huber, .logCosh, .hinge:
        Chainrule.Activation.allCases
      }
    var layers: [Chainrule.Layer] = []
    var widths = [inputs]  // the inputs of each layer, then the outputs of the last
    func append(_ layer: Chainrule.Layer) {
      layers.append(layer)
      widths.append(layer.units ?? widths.last!)
    }

    let isMixed = chance(0.6)
    let count = integer(1...4)
    for number in 1...count {
      if isMixed { for _ in 0..<integer(0...2) { append(other(behind: widths)) } }
      let activation = element(number == count ? outputs : Self.hidden)
      // The softmax of a single number is 1, whatever its parameters.
      let units = integer(activation == .softmax ? 2...40 : 1...40)
      let isApart = isMixed && chance(0.3)
      let fitting = activation == .softmax || !isMixed || chance(0.5) ? units : element(widths)
      append(.dense(Dense(fitting, activation: isApart ? .identity : activation, bias: chance(0.8))))
      if isApart {
        if chance(0.5) { append(other(behind: widths)) }
        append(.activation(activation))
      }
    }
    let isFree = outputs == Chainrule.Activation.allCases && layers.last!.activation != .softmax
    if isMixed && isFree && chance(0.5) { append(other(behind: widths)) }
    if isFree && chance(0.3) { append(scaling(widths.last!)) }
    // A scaling after the output layer scales the targets; classes and probabilities cannot be scaled.
    while case .scaling = layers.last!,
      loss == .hinge || [.sigmoid, .softmax].contains(layers[layers.count - 2].activation)
    {
      layers.removeLast()
    }
    return layers
  }

  private static let hidden = Chainrule.Activation.allCases.filter { $0 != .softmax }

  /// A layer of another kind than dense, after layers of these widths.
  private mutating func other(behind widths: [Int]) -> Chainrule.Layer {
    let width = widths.last!
    let spans = widths.indices.dropFirst().filter { widths[widths.count - 1 - $0] == width }
    switch integer(spans.isEmpty ? 1...5 : 0...5) {
    case 0: return .residual(span: element(spans))
    case 1: return .activation(element(Self.hidden))
    case 2: return .dropout(Dropout(number(in: 0...0.6)))
    case 3: return .batchNorm(BatchNorm(momentum: number(in: 0.01...1), epsilon: number(in: 0.001...0.1)))
    case 4: return .layerNorm(LayerNorm(epsilon: number(in: 0.001...0.1)))
    default: return scaling(width)
    }
  }

  private mutating func scaling(_ width: Int) -> Chainrule.Layer {
    .scaling(Scaling(mean: row(width, in: -0.5...0.5), deviation: row(width, in: 0.5...2)))
  }

  /// The layer with parameters, as the reference has it.
  fileprivate mutating func parameters(
    of layer: Chainrule.Layer, inputs: Int
  ) -> ChainruleReference.Layer<Double> {
    func named(_ activation: Chainrule.Activation) -> ChainruleReference.Activation {
      ChainruleReference.Activation(rawValue: activation.rawValue)!
    }
    switch layer {
    case .dense(let dense):
      // The scale of Glorot's initialiser: what flows through the layers stays of the size of the data.
      let scale = (6 / Double(inputs + dense.units)).squareRoot()
      return ChainruleReference.Layer(
        weights: matrix(dense.units, inputs, in: -scale...scale),
        bias: dense.bias ? row(dense.units, in: -0.5...0.5) : nil, activation: named(dense.activation))
    case .activation(let activation):
      return .activation(named(activation))
    case .dropout(let dropout):
      return .dropout(rate: dropout.rate)
    case .batchNorm(let norm):
      return .batchNorm(
        gamma: row(inputs, in: 0.5...1.5), beta: row(inputs, in: -0.5...0.5), momentum: norm.momentum,
        epsilon: norm.epsilon, mean: row(inputs, in: -0.5...0.5), variance: row(inputs, in: 0.5...2))
    case .layerNorm(let norm):
      return .layerNorm(
        gamma: row(inputs, in: 0.5...1.5), beta: row(inputs, in: -0.5...0.5), epsilon: norm.epsilon)
    case .scaling(let scaling):
      return .scaling(mean: scaling.mean, deviation: scaling.deviation)
    case .residual(let span):
      return .residual(span: span)
    case .custom:
      preconditionFailure("none is drawn")
    }
  }

  /// Random targets that the loss allows.
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
      let labels: [Double] = chance(0.5) ? [-1, 1] : [0, 1]
      return (0..<outputs).map { _ in element(labels) }
    }
  }

  /// Label smoothing if the loss allows it, and gradient clipping.
  fileprivate mutating func regularization(for loss: Chainrule.Loss) -> Regularization {
    let isCrossEntropy = loss == .crossEntropy || loss == .binaryCrossEntropy
    return Regularization(
      labelSmoothing: isCrossEntropy && chance(0.5) ? number(in: 0...0.5) : 0,
      gradientClipNorm: chance(0.2) ? number(in: 0.01...1) : nil,
      gradientClipValue: chance(0.2) ? number(in: 0.001...0.1) : nil)
  }

  fileprivate mutating func optimizer(
    for loss: Chainrule.Loss, on layers: [Chainrule.Layer]
  ) -> Chainrule.Optimizer {
    let isNormalised = layers.contains { $0.name == "batchNorm" }
    let cancels = loss == .meanAbsoluteError || loss == .hinge || isNormalised
    let takesSign: Set<Chainrule.Optimizer.Kind> = [.rprop, .lion]
    let η = number(in: 0.001...0.02)
    let λ = chance(0.5) ? number(in: 0...0.1) : 0
    let μ = chance(0.5) ? number(in: 0.1...0.9) : 0
    let ε = [1e-3, 1e-4, 1e-5, 1e-6][integer(isNormalised ? 0...1 : 0...3)]
    let (β1, β2) = (number(in: 0.5...0.95), number(in: 0.9...0.999))
    let λ1 = chance(0.3) ? number(in: 0...0.01) : 0
    let amsgrad = chance(0.5)
    let kind = element(Chainrule.Optimizer.Kind.allCases.filter { !cancels || !takesSign.contains($0) })
    var numbers: [Chainrule.Optimizer.Hyperparameter: Double] = [:]
    for hyperparameter in kind.hyperparameters {
      numbers[hyperparameter] =
        switch hyperparameter {
        case .learningRate:
          switch kind {
          case .rmsprop: η / 10
          case .adadelta: 50 * η
          default: η
          }
        case .weightDecay: λ
        case .l1: λ1
        case .momentum: μ
        case .nesterov: μ > 0 && chance(0.5) ? 1 : 0
        case .centered: chance(0.5) ? 1 : 0
        case .amsgrad: amsgrad ? 1 : 0
        case .epsilon: ε
        case .beta1, .rho: β1
        case .beta2, .alpha: β2
        case .momentumDecay: number(in: 0...20)
        case .etaMinus: number(in: 0.1...0.9)
        case .etaPlus: number(in: 1.1...1.5)
        case .stepMin: η / 4
        case .stepMax: 2 * η
        }
    }
    return try! Chainrule.Optimizer(kind, numbers)
  }
}

// MARK: - Training both

extension Verification.Case {
  /// The worst error after each of the limits' steps.
  ///
  /// - Parameter prepare: Changes the reference before it trains; a test plants an error with it.
  func compare(
    preparing prepare: (inout ChainruleReference.Network<Double>) -> Void = { _ in }
  ) throws -> [Agreement] {
    let network = try network()
    let core = try Chainrule.Trainer(
      network, loss: loss, optimizer: optimizer,
      options: TrainerOptions(
        regularization: regularization, accumulationSteps: accumulating, layerRates: layerRates))
    // A second trainer records the trace. Its seed is the same, so its dropout is, too.
    let traced = try Chainrule.Trainer(
      self.network(), loss: loss, optimizer: optimizer,
      options: TrainerOptions(
        regularization: regularization, accumulationSteps: accumulating, layerRates: layerRates,
        recordsTrace: true))
    let noise = try regularization.inputNoise > 0 ? noise() : nil

    var start = ChainruleReference.Network(layers: parameters)
    prepare(&start)
    var reference = ChainruleReference.Trainer(
      network: start, loss: ChainruleReference.Loss(rawValue: loss.rawValue)!,
      optimizer: ChainruleReference.Optimizer(optimizer), labelSmoothing: regularization.labelSmoothing,
      clipping: [
        regularization.gradientClipNorm.map { .norm($0) },
        regularization.gradientClipValue.map { .value($0) },
      ]
      .compactMap(\.self), maxNorm: regularization.maxNorm, layerRates: layerRates,
      accumulating: accumulating)

    var (found, expected): ([Double], [Double]) = ([], [])
    var agreements: [Agreement] = []
    for (batch, number) in zip(batches, 1...) {
      let data = try Dataset(features: batch.x, targets: batch.y, sampleWeights: batch.sampleWeights)
      found.append(try core.step(data))
      try traced.step(data)
      let trace = try traced.trace()
      let step = reference.step(
        x: batch.x, y: batch.y, sampleWeights: batch.sampleWeights, kept: kept(in: trace),
        noise: noise?[number - 1])
      if number == batches.count {
        try core.flush()
        reference.flush()
      }
      expected.append(step.loss)
      guard Verification.limits.contains(where: { $0.steps == number }) else { continue }

      var agreement = Agreement()
      agreement.compare(found, with: expected, "the losses")
      agreement.compare(trace.last!.a, with: step.a[trace.count - 1].flatMap(\.self), "the outputs")
      agreement.compare(
        trace.flatMap(\.gradient), with: step.gradients.flatMap(\.numbers), "the gradients")
      for (index, layer) in reference.network.layers.enumerated() {
        let parameters = try network.parameters(ofLayer: index)
        func compare(_ found: [Double]?, _ expected: [Double]?, _ name: String) {
          agreement.compare(found ?? [], with: expected ?? [], "the \(name) of layer \(index + 1)")
        }
        compare(parameters.weights, layer.weights.flatMap(\.self), "weights")
        compare(parameters.bias, layer.bias, "bias")
        compare(parameters.gamma, layer.gamma, "gamma")
        compare(parameters.beta, layer.beta, "beta")
        compare(parameters.mean, layer.mean, "mean")
        compare(parameters.variance, layer.variance, "variance")
      }
      agreement.compare(
        try network.predict(data.features), with: reference.network.predict(batch.x).flatMap(\.self),
        "the predictions")
      agreements.append(agreement)
    }
    return agreements
  }

  /// The core's network, with the parameters of the case.
  private func network() throws -> Chainrule.Network<Double> {
    let network = try Chainrule.Network<Double>(inputs: inputs, layers: layers)
    for (index, layer) in parameters.enumerated() {
      var parameters = try network.parameters(ofLayer: index)
      parameters.weights = layer.weights.flatMap(\.self)
      parameters.bias = layer.bias
      parameters.gamma = layer.gamma
      parameters.beta = layer.beta
      parameters.mean = layer.mean
      parameters.variance = layer.variance
      parameters.deviation = layer.deviation
      try network.setParameters(parameters, ofLayer: index)
    }
    return network
  }

  /// The input noise of each batch: the output of an identity network for inputs of 0, after the same number
  /// of steps.
  private func noise() throws -> [[[Double]]] {
    let mirror = try Chainrule.Network<Double>(inputs: inputs, layers: [.activation(.identity)])
    let trainer = try Chainrule.Trainer(
      mirror, loss: .halfSquaredError,
      options: TrainerOptions(
        regularization: Regularization(inputNoise: regularization.inputNoise),
        accumulationSteps: accumulating, recordsTrace: true))
    return try batches.map { batch in
      let zeros = batch.x.map { $0.map { _ in 0.0 } }
      try trainer.step(Dataset(features: zeros, targets: zeros))
      let noise = try trainer.trace()[0].a
      return batch.x.indices.map { row in Array(noise[row * inputs..<(row + 1) * inputs]) }
    }
  }

  /// The values that each dropout kept, by its layer: all that are not 0. A value that was 0 before, such as
  /// after a relu, has gradient 0 in either case.
  private func kept(in trace: [LayerTrace<Double>]) -> [Int: [[Bool]]] {
    var kept: [Int: [[Bool]]] = [:]
    for (index, layer) in trace.enumerated() {
      guard case .dropout = layers[index] else { continue }
      kept[index] = (0..<layer.rows).map { row in
        layer.a[row * layer.units..<(row + 1) * layer.units].map { $0 != 0 }
      }
    }
    return kept
  }
}

extension LayerTrace<Double> {
  /// ∂L/∂b, then ∂L/∂W row by row, then ∂L/∂γ and ∂L/∂β, as a gradient of the reference.
  fileprivate var gradient: [Double] {
    (biasGradient ?? []) + weightsGradient + (gammaGradient ?? []) + (betaGradient ?? [])
  }
}

extension ChainruleReference.Optimizer<Double> {
  /// The same rule with the same numbers.
  init(_ optimizer: Chainrule.Optimizer) {
    func number(_ hyperparameter: Chainrule.Optimizer.Hyperparameter) -> Double { optimizer[hyperparameter]! }
    func isOn(_ hyperparameter: Chainrule.Optimizer.Hyperparameter) -> Bool { number(hyperparameter) != 0 }
    let (η, λ, λ1) = (optimizer.learningRate, optimizer.weightDecay, number(.l1))
    switch optimizer.kind {
    case .sgd:
      self = .sgd(
        learningRate: η, momentum: number(.momentum), nesterov: isOn(.nesterov), weightDecay: λ, l1: λ1)
    case .adagrad:
      self = .adagrad(learningRate: η, epsilon: number(.epsilon), weightDecay: λ, l1: λ1)
    case .rmsprop:
      self = .rmsprop(
        learningRate: η, alpha: number(.alpha), epsilon: number(.epsilon), momentum: number(.momentum),
        centered: isOn(.centered), weightDecay: λ, l1: λ1)
    case .adam:
      self = .adam(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        amsgrad: isOn(.amsgrad), weightDecay: λ, l1: λ1)
    case .adamw:
      self = .adamw(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        amsgrad: isOn(.amsgrad), weightDecay: λ, l1: λ1)
    case .adadelta:
      self = .adadelta(
        learningRate: η, rho: number(.rho), epsilon: number(.epsilon), weightDecay: λ, l1: λ1)
    case .adamax:
      self = .adamax(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        weightDecay: λ, l1: λ1)
    case .nadam:
      self = .nadam(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        momentumDecay: number(.momentumDecay), weightDecay: λ, l1: λ1)
    case .rprop:
      self = .rprop(
        learningRate: η, etaMinus: number(.etaMinus), etaPlus: number(.etaPlus), stepMin: number(.stepMin),
        stepMax: number(.stepMax), weightDecay: λ, l1: λ1)
    case .lion:
      self = .lion(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), weightDecay: λ, l1: λ1)
    }
  }
}

extension Verification.Case: CustomStringConvertible {
  /// "13 → 7 relu → batchNorm → 3 softmax (no bias), crossEntropy, adam, sample weights"
  var description: String {
    let layers = layers.map(\.description)
    let details = [
      regularization.labelSmoothing > 0 ? "label smoothing" : nil,
      regularization.gradientClipNorm.map { _ in "gradients clipped by norm" },
      regularization.gradientClipValue.map { _ in "gradients clipped by value" },
      regularization.inputNoise > 0 ? "input noise" : nil,
      regularization.maxNorm.map { _ in "weights of bounded norm" },
      accumulating > 1 ? "updates of \(accumulating) batches" : nil,
      layerRates.isEmpty
        ? nil
        : "rates "
          + layerRates.sorted { $0.key < $1.key }.map { "\($0 + 1): \(short($1))" }.joined(separator: " "),
      batches[0].sampleWeights.map { _ in "sample weights" },
    ].compactMap(\.self)
    return (["\((["\(inputs)"] + layers).joined(separator: " → "))", "\(loss)", optimizer.name] + details)
      .joined(separator: ", ")
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
