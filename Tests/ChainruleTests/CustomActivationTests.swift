import Foundation
import Synchronization
import Testing

@testable import Chainrule

/// x² / (1 + x²), until it is told to fail.
private final class Fragile: Sendable {
  enum Failure: CaseIterable, CustomTestStringConvertible {
    case throwing, throwingOurs, returningTooLittle
    var testDescription: String { "\(self)" }
  }
  enum Which: String, CaseIterable { case function, derivative }

  private struct Trouble: Error, CustomStringConvertible {
    var description: String { "no more ink" }
  }

  private let failing = Mutex<(which: Which, failure: Failure)?>(nil)

  func fail(_ which: Which, _ failure: Failure) { failing.withLock { $0 = (which, failure) } }
  func recover() { failing.withLock { $0 = nil } }

  var activation: CustomActivation {
    CustomActivation(
      "soft square",
      function: { z in
        try self.values(of: .function, z.map { $0 * $0 / (1 + $0 * $0) })
      },
      derivative: { z in
        try self.values(of: .derivative, z.map { 2 * $0 / ((1 + $0 * $0) * (1 + $0 * $0)) })
      })
  }

  private func values(of which: Which, _ values: [Double]) throws -> [Double] {
    guard let failing = failing.withLock({ $0 }), failing.which == which else { return values }
    switch failing.failure {
    case .throwing: throw Trouble()
    case .throwingOurs: throw ChainruleError.invalidArgument(message: "ours")
    case .returningTooLittle: return [1]
    }
  }

  /// Whether an error is that of the failure.
  static func isExpected(_ error: ChainruleError, of which: Which, _ failure: Failure) -> Bool {
    let name = "the \(which) of the activation \"soft square\""
    switch (failure, error) {
    case (.throwing, _): return error == .callbackFailed(function: name, reason: "no more ink")
    case (.throwingOurs, _): return error == .invalidArgument(message: "ours")
    case (.returningTooLittle, .shapeMismatch(let what, let expected, 1)):
      return what == "values of \(name)" && expected > 1
    case (.returningTooLittle, _): return false
    }
  }
}

/// What computes a network, and whether it calls the derivative of an activation.
private struct Door: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let derives: Bool
  let call: @Sendable (Network<Double>, Trainer<Double>, Dataset<Double>) async throws -> Void

  init(
    _ name: String, derives: Bool = true,
    _ call: @escaping @Sendable (Network<Double>, Trainer<Double>, Dataset<Double>) async throws -> Void
  ) {
    (testDescription, self.derives, self.call) = (name, derives, call)
  }

  static let all = [
    Door("Network.predict", derives: false) { network, _, data in _ = try network.predict(data) },
    Door("Network.evaluate", derives: false) { network, _, data in _ = try network.evaluate(data) },
    Door("Network.evaluate of a source", derives: false) { network, _, data in
      _ = try network.evaluate(data.shuffled(buffer: 4, seed: 1))
    },
    Door("Model.predict", derives: false) { network, _, data in
      _ = try Model(network).predict(data.features)
    },
    Door("a folded model", derives: false) { network, _, data in
      _ = try Model(network).folded().predict(data.features)
    },
    Door("Predictor.predict", derives: false) { network, _, data in
      var predictor = try Model(network).predictor()
      var outputs = [Double](repeating: 0, count: data.rows * data.outputs)
      var span = outputs.mutableSpan
      try predictor.predict(data.features.span, into: &span)
    },
    Door("inputJacobian") { network, _, data in _ = try network.inputJacobian(data.features) },
    Door("parameterJacobian") { network, _, data in _ = try network.parameterJacobian(data.features) },
    Door("sampleGradients") { network, _, data in
      _ = try network.sampleGradients(on: data, loss: .meanSquaredError)
    },
    Door("gradientCheck") { network, _, data in
      _ = try network.gradientCheck(on: data, loss: .meanSquaredError)
    },
    Door("permutationImportance", derives: false) { network, _, data in
      _ = try Model(network).permutationImportance(on: data)
    },
    Door("gradients") { _, trainer, data in try trainer.gradients(data) },
    Door("step") { _, trainer, data in try trainer.step(data) },
    Door("partialFit") { _, trainer, data in try trainer.partialFit(data) },
    Door("epoch") { _, trainer, data in try trainer.epoch(on: data) },
    Door("epoch of a source") { _, trainer, data in
      try trainer.epoch(on: data.shuffled(buffer: 4, seed: 1))
    },
    Door("epochs") { _, trainer, data in
      for try await _ in trainer.epochs(1, on: data, validating: data, patience: 1) {}
    },
    Door("minimize by levenbergMarquardt") { network, _, data in
      try await network.minimize(data, method: .levenbergMarquardt(), iterations: 2)
    },
    Door("minimize by lbfgs") { network, _, data in
      try await network.minimize(data, method: .lbfgs(), iterations: 2)
    },
  ]
}

@Suite struct `A custom activation that fails` {
  private let fragile = Fragile()
  private let network: Network<Double>
  private let trainer: Trainer<Double>
  private let data: Dataset<Double>

  init() throws {
    network = try Network(
      inputs: 1,
      layers: [.custom(fragile.activation), .dense(Dense(3)), .custom(fragile.activation), .dense(Dense(1))],
      seed: 2)
    trainer = try Trainer(network, loss: .meanSquaredError, options: TrainerOptions(recordsTrace: true))
    data = try Dataset(
      features: (0..<20).map { [Double($0) / 20] }, targets: (0..<20).map { [Double($0 % 5) / 5] })
  }

  @Test(arguments: Door.all, Fragile.Which.allCases)
  fileprivate func `ends what computes the network, and changes nothing`(
    door: Door, which: Fragile.Which
  ) async throws {
    guard which == .function || door.derives else { return }
    let parameters = try network.parameterVector()
    for failure in Fragile.Failure.allCases {
      fragile.fail(which, failure)
      await #expect {
        try await door.call(network, trainer, data)
      } throws: { error in
        (error as? ChainruleError).map { Fragile.isExpected($0, of: which, failure) } ?? false
      }
      #expect(
        try network.parameterVector() == parameters && trainer.steps == 0 && trainer.completedEpochs == 0)
    }
    fragile.recover()
    try await door.call(network, trainer, data)
  }

  /// Each thread gets the error of its own call.
  @Test func `fails in many predictions at once`() throws {
    struct Negative: Error, CustomStringConvertible { let description: String }
    let root = CustomActivation(
      "root",
      function: { z in
        if z[0] < 0 { throw Negative(description: "\(z[0])") }
        return z.map { $0.squareRoot() }
      }, derivative: { $0 })
    let model = try Model(Network<Double>(inputs: 1, layers: [.custom(root)]))
    let wrong = Mutex(0)
    DispatchQueue.concurrentPerform(iterations: 400) { index in
      let x = Double(index % 2 == 0 ? index + 1 : -index)
      do throws(ChainruleError) {
        let root = try model.predict([x])
        if x < 0 || root != [x.squareRoot()] { wrong.withLock { $0 += 1 } }
      } catch {
        let own = ChainruleError.callbackFailed(
          function: "the function of the activation \"root\"", reason: "\(x)")
        if x > 0 || error != own { wrong.withLock { $0 += 1 } }
      }
    }
    #expect(wrong.withLock { $0 } == 0)
  }

  /// A loss function may use another network, whose failure is then the loss function's.
  @Test func `fails within a loss function`() throws {
    fragile.fail(.function, .throwing)
    let other = try Network<Double>(inputs: 1, seed: 1) { Dense(1) }
    let model = try Model(network)
    let loss = LossFunction<Double> { outputs, targets, _ in
      _ = try model.predict(outputs)
      return (losses: outputs, gradient: targets)
    }
    #expect {
      try Trainer(other, loss: loss).step(data)
    } throws: { error in
      (error as? ChainruleError).map { Fragile.isExpected($0, of: .function, .throwing) } ?? false
    }
  }
}
