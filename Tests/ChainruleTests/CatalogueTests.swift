import CChainrule
import Foundation
import Testing

@testable import Chainrule

@Suite struct `Every entry of the catalogue` {
  /// Every case, each with numbers of its own.
  static let initializers: [Initializer] = [
    .automatic, .glorotUniform, .glorotNormal, .heUniform, .heNormal, .lecunNormal, .uniform(scale: 0.25),
    .normal(standardDeviation: 0.5), .zeros, .constant(0.75),
  ]
  static let optimizers: [Optimizer] = [
    .sgd(learningRate: 0.5, momentum: 0.25, nesterov: true, weightDecay: 0.125, l1: 0.0625),
    .adagrad(learningRate: 0.5, epsilon: 0.25, weightDecay: 0.125, l1: 0.0625),
    .rmsprop(
      learningRate: 0.5, alpha: 0.25, epsilon: 0.125, momentum: 0.75, centered: true, weightDecay: 0.375,
      l1: 0.0625),
    .adam(
      learningRate: 0.5, beta1: 0.25, beta2: 0.125, epsilon: 0.75, amsgrad: true, weightDecay: 0.375,
      l1: 0.0625),
    .adamw(
      learningRate: 0.5, beta1: 0.25, beta2: 0.125, epsilon: 0.75, amsgrad: true, weightDecay: 0.375,
      l1: 0.0625),
    .adadelta(learningRate: 0.5, rho: 0.25, epsilon: 0.125, weightDecay: 0.375, l1: 0.0625),
    .adamax(learningRate: 0.5, beta1: 0.25, beta2: 0.125, epsilon: 0.75, weightDecay: 0.375, l1: 0.0625),
    .nadam(
      learningRate: 0.5, beta1: 0.25, beta2: 0.125, epsilon: 0.75, momentumDecay: 0.625, weightDecay: 0.375,
      l1: 0.0625),
    .rprop(
      learningRate: 0.5, etaMinus: 0.25, etaPlus: 1.5, stepMin: 0.125, stepMax: 0.75, weightDecay: 0.375,
      l1: 0.0625),
    .lion(learningRate: 0.5, beta1: 0.25, beta2: 0.125, weightDecay: 0.375, l1: 0.0625),
  ]
  /// The same rules with the defaults of their Swift cases.
  static let defaults: [Optimizer] = [
    .sgd(), .adagrad(), .rmsprop(), .adam(), .adamw(), .adadelta(), .adamax(), .nadam(), .rprop(), .lion(),
  ]

  @Test func `is the core's of the same name`() {
    for activation in Activation.allCases { #expect(Activation(activation.core) == activation) }
    for loss in Loss.allCases { #expect(Loss(loss.core) == loss) }
    for initializer in Self.initializers { #expect(Initializer(initializer.core) == initializer) }
    #expect(Set(Activation.allCases.map(\.core)).count == Activation.allCases.count)
    #expect(Set(Loss.allCases.map(\.core)).count == Loss.allCases.count)
    let count = UInt32(CHAINRULE_OPTIMIZER_COUNT)
    let names = (0..<count).map { String(cString: chainrule_optimizer_name(.init(rawValue: $0)!)) }
    #expect(Optimizer.Kind.allCases.map(\.rawValue) == names)
    #expect(Self.optimizers.map(\.name) == names && Self.defaults.map(\.name) == names)
  }

  @Test func `has a formula of its own, in ASCII`() {
    let formulas =
      Activation.allCases.map(\.formula) + Loss.allCases.map(\.formula)
      + Optimizer.Kind.allCases.map(\.formula)
    #expect(formulas.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isASCII) })
    #expect(Set(formulas).count == formulas.count)
    #expect(Activation.tanh.formula == "tanh z")
    #expect(Loss.hinge.formula.contains("max(0, 1 - y a)"))
    #expect(Optimizer.Kind.adagrad.formula.contains("s += g^2"))
  }

  @Test func `survives being written and read`() throws {
    func expectRoundTrip<T: Codable & Equatable>(_ value: T) throws {
      #expect(try JSONDecoder().decode(T.self, from: JSONEncoder().encode(value)) == value)
    }
    try expectRoundTrip(Activation.allCases)
    try expectRoundTrip(Loss.allCases)
    try expectRoundTrip(ScalarType.allCases)
    try expectRoundTrip(Self.optimizers + Self.defaults)
    try expectRoundTrip(Self.initializers)
    for (index, initializer) in Self.initializers.enumerated() {
      let dense = Dense(
        index + 1, activation: Activation.allCases[index], bias: index % 2 == 0,
        weightsInitializer: initializer, biasInitializer: Self.initializers.reversed()[index])
      try expectRoundTrip(dense)
      try expectRoundTrip(Layer.dense(dense))
      let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(Layer.dense(dense)))
      let fields = try #require(object as? [String: Any])
      #expect(fields["type"] as? String == "dense" && fields["units"] as? Int == dense.units)
    }
    let scaling = Scaling(mean: [0.5, 2], deviation: [1, 0.25])
    let layers: [Layer] = [
      .dense(Dense(3, weightsInitializer: .heNormal, biasInitializer: .zeros)), .activation(.gelu),
      .dropout(Dropout(0.3)), .batchNorm(BatchNorm(momentum: 0.2, epsilon: 1e-3)),
      .layerNorm(LayerNorm(epsilon: 1e-4)), .scaling(scaling), .residual(span: 2),
    ]
    #expect(layers.map(\.name) == Layer.names)
    let custom = CustomActivation("square", function: { $0 }, derivative: { $0 })
    #expect(throws: ChainruleError.self) { try JSONEncoder().encode(Layer.custom(custom)) }
    for layer in layers {
      try expectRoundTrip(layer)
      #expect(Layer(layer.core) { scaling } == layer)
    }
  }

  @Test func `is written by its name`() throws {
    for activation in Activation.allCases {
      #expect(try JSONEncoder().encode([activation]) == Data("[\"\(activation.rawValue)\"]".utf8))
    }
    for loss in Loss.allCases {
      #expect(try JSONEncoder().encode([loss]) == Data("[\"\(loss.rawValue)\"]".utf8))
    }
  }

  @Test func `has a usual loss`() {
    for activation in Activation.allCases {
      let expected: Loss =
        switch activation {
        case .softmax: .crossEntropy
        case .sigmoid: .binaryCrossEntropy
        default: .meanSquaredError
        }
      #expect(Loss.default(for: activation) == expected)
    }
  }
}

@Suite struct `An optimizer` {
  private func read(_ json: String) throws -> Optimizer {
    try JSONDecoder().decode(Optimizer.self, from: Data(json.utf8))
  }

  @Test func `is read from a step file, what is left out by its default`() throws {
    for (kind, optimizer) in zip(Optimizer.Kind.allCases, `Every entry of the catalogue`.defaults) {
      #expect(try read(#"{"type": "\#(kind)"}"#) == optimizer)
      #expect(try Optimizer(kind) == optimizer && Optimizer(named: kind.rawValue) == optimizer)
    }
    #expect(
      try read(#"{"type": "sgd", "learningRate": 0.5, "momentum": 0.9, "nesterov": true}"#)
        == .sgd(learningRate: 0.5, momentum: 0.9, nesterov: true))
    #expect(
      try read(#"{"type": "rmsprop", "alpha": 0.5, "centered": true, "weightDecay": 0.25}"#)
        == .rmsprop(alpha: 0.5, centered: true, weightDecay: 0.25))
    #expect(
      try read(#"{"type": "adam", "beta1": 0.5, "beta2": 0.25, "epsilon": 0.125}"#)
        == .adam(beta1: 0.5, beta2: 0.25, epsilon: 0.125))
    #expect(try read(#"{"type": "adamw", "amsgrad": true, "l1": 0.5}"#) == .adamw(amsgrad: true, l1: 0.5))
    #expect(try read(#"{"type": "adadelta", "rho": 0.5}"#) == .adadelta(rho: 0.5))
    #expect(try read(#"{"type": "nadam", "momentumDecay": 0.5}"#) == .nadam(momentumDecay: 0.5))
    #expect(
      try read(#"{"type": "rprop", "etaMinus": 0.25, "etaPlus": 2, "stepMin": 0.125, "stepMax": 1}"#)
        == .rprop(etaMinus: 0.25, etaPlus: 2, stepMin: 0.125, stepMax: 1))
  }

  @Test func `is written with every number of its rule`() throws {
    func keys(_ optimizer: Optimizer) throws -> Set<String> {
      let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(optimizer))
      return Set(try #require(object as? [String: Any]).keys)
    }
    let all: Set = ["type", "learningRate", "weightDecay", "l1"]
    #expect(try keys(.sgd()) == all.union(["momentum", "nesterov"]))
    #expect(try keys(.adagrad()) == all.union(["epsilon"]))
    #expect(try keys(.rmsprop()) == all.union(["alpha", "epsilon", "momentum", "centered"]))
    #expect(try keys(.adam()) == all.union(["beta1", "beta2", "epsilon", "amsgrad"]))
    #expect(try keys(.adamw()) == all.union(["beta1", "beta2", "epsilon", "amsgrad"]))
    #expect(try keys(.adadelta()) == all.union(["rho", "epsilon"]))
    #expect(try keys(.adamax()) == all.union(["beta1", "beta2", "epsilon"]))
    #expect(try keys(.nadam()) == all.union(["beta1", "beta2", "epsilon", "momentumDecay"]))
    #expect(try keys(.rprop()) == all.union(["etaMinus", "etaPlus", "stepMin", "stepMax"]))
    #expect(try keys(.lion()) == all.union(["beta1", "beta2"]))
  }

  @Test func `is found by name, with the numbers that are given`() throws {
    #expect(
      try Optimizer(named: "adamw", [.learningRate: 0.5, .weightDecay: 0.25])
        == .adamw(learningRate: 0.5, weightDecay: 0.25))
    #expect(try Optimizer(.rmsprop, [.learningRate: 0.5]).learningRate == 0.5)
    #expect(try Optimizer(.lion, [.l1: 0.5]) == .lion(l1: 0.5))
    let error = ChainruleError.invalidArgument(
      message: "no optimizer is named \"shampoo\"; there are: sgd, adagrad, rmsprop, adam, adamw, adadelta, "
        + "adamax, nadam, rprop, lion")
    #expect(throws: error) { try Optimizer(named: "shampoo") }
    #expect(throws: error) { try read(#"{"type": "shampoo"}"#) }
    #expect(throws: DecodingError.self) { try read(#"{"learningRate": 0.5}"#) }
    #expect(throws: DecodingError.self) { try read(#"{"type": "adam", "learningRate": "fast"}"#) }
  }

  @Test(arguments: Optimizer.Kind.allCases)
  func `has the core's defaults`(kind: Optimizer.Kind) {
    let core = kind.default.core
    #expect("\(core)" == "\(chainrule_optimizer_default(core.kind))")
  }

  /// Every hyper-parameter of every rule, with a number of each kind: the core accepts those in `range`, and
  /// names the one that is not.
  @Test(arguments: Optimizer.Kind.allCases)
  func `has each hyper-parameter where the core has it, in the core's range`(kind: Optimizer.Kind) throws {
    let network = try Network<Float>(inputs: 1) { Dense(1) }
    for hyperparameter in kind.hyperparameters {
      guard let range = hyperparameter.range else { continue }
      for number in [-1, 0, 0.5, 1, 2, 100, .infinity, .nan] {
        let optimizer = try Optimizer(kind, [hyperparameter: number])
        let error = failure { try Trainer(network, loss: .meanSquaredError, optimizer: optimizer) }
        // The core holds the largest step against the smallest, too.
        let isOrdered = try optimizer[.stepMin].map { try #require(optimizer[.stepMax]) >= $0 } ?? true
        if range.contains(number) && isOrdered {
          #expect(error == nil)
        } else {
          let name = hyperparameter == .stepMin && number == 100 ? "step max" : hyperparameter.spelledOut
          let message = try #require(error, "\(kind) \(hyperparameter) \(number)").description
          #expect(message.hasPrefix("\(kind): \(name) must be "))
          #expect(hyperparameter == .stepMax || !isOrdered || message.contains("must be \(range); got"))
        }
      }
    }
  }

  private func failure(_ body: () throws -> Trainer<Float>) -> ChainruleError? {
    do {
      _ = try body()
      return nil
    } catch { return error as? ChainruleError }
  }

  @Test func `refuses a hyper-parameter of another rule, but not a switch that is off`() throws {
    let message = "beta1 is not a hyper-parameter of sgd; adam, adamw, adamax, nadam and lion have it"
    let error = ChainruleError.invalidArgument(message: message)
    #expect(throws: error) { try Optimizer(.sgd, [.beta1: 0.5]) }
    #expect(throws: error) { try read(#"{"type": "sgd", "beta1": 0.5}"#) }
    var optimizer = Optimizer.sgd()
    #expect(throws: error) { try optimizer.set([.momentum: 0.5, .beta1: 0.5]) }
    #expect(optimizer == .sgd())
    try optimizer.set([.momentum: 0.5, .amsgrad: 0])
    #expect(optimizer == .sgd(momentum: 0.5) && optimizer[.momentum] == 0.5 && optimizer[.amsgrad] == nil)
    #expect(optimizer.hyperparameters == [.learningRate, .momentum, .nesterov, .weightDecay, .l1])
  }

  /// The two tables of docs/training.md.
  @Test func `is on the page, with its hyper-parameters and their defaults`() throws {
    func text(_ number: Double) -> String { String(format: "%g", number).replacing("e-0", with: "e-") }
    let rules = Optimizer.Kind.allCases.map { kind in
      let others = kind.hyperparameters.filter { ![.learningRate, .l1].contains($0) }.compactMap {
        (hyperparameter) -> String? in
        let number = kind.default[hyperparameter]!
        if hyperparameter == .weightDecay && number == 0 { return nil }
        return "`\(hyperparameter.rawValue)` "
          + (hyperparameter.isSwitch ? number == 0 ? "off" : "on" : text(number))
      }
      return "| \(kind) | \(text(kind.default.learningRate)) | \(others.joined(separator: ", ")) |\n"
    }
    let numbers = Optimizer.Hyperparameter.allCases.map {
      "| `\($0.rawValue)` | `\($0.option)` | \($0.symbol ?? "") | \($0.meaning) | "
        + "\($0.range.map { "\($0)" } ?? "on or off") |\n"
    }
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/training.md"), encoding: .utf8)
    for table in [
      "| optimizer | learning rate | other hyper-parameters |\n| --- | --- | --- |\n" + rules.joined(),
      "| hyper-parameter | option | symbol | meaning | range |\n| --- | --- | --- | --- | --- |\n"
        + numbers.joined(),
    ] {
      #expect(page.contains(table), "docs/training.md must have:\n\(table)")
    }
  }

  /// A number out of its range, and what the error says of it.
  @Test(
    arguments: [
      (.sgd(learningRate: -1), "sgd: learning rate must be a finite number, 0 or more; got -1"),
      (.adam(learningRate: .nan), "adam: learning rate must be a finite number, 0 or more; got NaN"),
      (
        .adagrad(learningRate: .infinity),
        "adagrad: learning rate must be a finite number, 0 or more; got infinity"
      ),
      (.adamw(weightDecay: -0.1), "adamw: weight decay must be a finite number, 0 or more; got -0.1"),
      (.sgd(momentum: -0.1), "sgd: momentum must be a finite number, 0 or more; got -0.1"),
      (.sgd(nesterov: true), "sgd: momentum must be above 0, as Nesterov's look ahead needs it; got 0"),
      (.rmsprop(alpha: 1), "rmsprop: alpha must be 0 or more, and less than 1; got 1"),
      (.rmsprop(momentum: .nan), "rmsprop: momentum must be a finite number, 0 or more; got NaN"),
      (.adam(beta1: 1), "adam: beta1 must be 0 or more, and less than 1; got 1"),
      (.adamw(beta2: -0.1), "adamw: beta2 must be 0 or more, and less than 1; got -0.1"),
      (.adam(epsilon: 0), "adam: epsilon must be a finite number above 0; got 0"),
      (.sgd(l1: -0.1), "sgd: l1 must be a finite number, 0 or more; got -0.1"),
      (.lion(l1: .nan), "lion: l1 must be a finite number, 0 or more; got NaN"),
      (.adadelta(rho: 1), "adadelta: rho must be 0 or more, and less than 1; got 1"),
      (.adamax(beta2: 1), "adamax: beta2 must be 0 or more, and less than 1; got 1"),
      (.nadam(momentumDecay: -1), "nadam: momentum decay must be a finite number, 0 or more; got -1"),
      (.rprop(etaMinus: 1), "rprop: eta minus must be above 0, and less than 1; got 1"),
      (.rprop(etaPlus: 1), "rprop: eta plus must be a finite number above 1; got 1"),
      (.rprop(stepMin: -1), "rprop: step min must be a finite number, 0 or more; got -1"),
      (
        .rprop(stepMin: 1, stepMax: 0.5), "rprop: step max must be a finite number, step min or more; got 0.5"
      ),
    ] as [(Optimizer, String)])
  func `with a number out of its range is refused`(optimizer: Optimizer, message: String) throws {
    let network = try Network<Float>(inputs: 1) { Dense(1) }
    #expect(throws: ChainruleError.invalidArgument(message: message)) {
      try Trainer(network, loss: .meanSquaredError, optimizer: optimizer)
    }
  }
}
