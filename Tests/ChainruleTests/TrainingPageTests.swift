import Chainrule
import Foundation
import Synchronization
import Testing

/// The code of docs/training.md.
@Suite struct `The page on training` {
  @Test func `has a network of every layer, and a trainer that does it all`() async throws {
    let (train, test) = try Dataset<Float>.iris.split(holdingOut: 0.2, seed: 1)
    let network = try Network<Float>(inputs: train.inputs, seed: 1) {
      try Scaling(of: train)  // (x − mean) / deviation: the saved model takes raw features
      Dense(32)
      BatchNorm()
      Activation.relu
      Residual {  // a = x + block(x)
        BatchNorm()
        Activation.relu
        Dense(32)
      }
      Dropout(0.2)
      Dense(train.outputs, activation: .softmax)
    }
    let trainer = try Trainer(
      network, loss: .crossEntropy, optimizer: .adamw(learningRate: 0.003, weightDecay: 0.01),
      options: TrainerOptions(
        schedule: Schedule(.cosine(length: 30), warmUp: 3),
        regularization: Regularization(
          labelSmoothing: 0.05, inputNoise: 0.02, gradientClipNorm: 1, maxNorm: 4), layerRates: [1: 0.5]))
    var epochs = 0
    for try await epoch in trainer.epochs(40, on: train, batchSize: 32, validating: test, patience: 8) {
      epochs += 1
      #expect(epoch.loss.isFinite)
    }
    #expect(epochs > 1)
    #expect(try network.evaluate(test).accuracy > 0.9)

    let parts = [train, test]
    for part in parts { try trainer.partialFit(part, batchSize: 32) }
  }

  @Test func `has a regression whose targets have a unit`() throws {
    let x = (0..<40).map { Float($0) / 20 - 1 }
    let prices = try Dataset<Float>(features: x.map { [$0] }, targets: x.map { [300_000 + 100_000 * $0] })
    let scaling = try Standardization(fitting: prices.targets, columns: 1)  // μ and σ of each target
    let regression = try Network<Float>(inputs: prices.inputs, targetScaling: scaling, seed: 1) {
      Dense(16, activation: .tanh)
      Dense(1)
    }
    let trainer = try Trainer(regression, loss: .meanSquaredError, optimizer: .adam(learningRate: 0.01))
    for _ in 0..<60 { try trainer.epoch(on: prices, batchSize: 8) }
    #expect(try regression.evaluate(prices).meanAbsoluteError < 10_000)
  }

  @Test func `finds a learning rate by one run in which it grows`() async throws {
    let (train, _) = try Dataset<Float>.iris.split(holdingOut: 0.2, seed: 1)
    let network = try Network<Float>(inputs: train.inputs, seed: 1) {
      try Scaling(of: train)
      Dense(32, activation: .relu)
      Dense(train.outputs, activation: .softmax)
    }
    let steps = Mutex<[TrainingStep]>([])
    let finder = try Trainer(
      network, loss: .crossEntropy, optimizer: .sgd(learningRate: 1e-4),
      options: TrainerOptions(schedule: Schedule(.exponential(factor: 1.1), per: .step)))
    for try await _ in finder.epochs(
      100, on: train, batchSize: 16,
      onStep: { step in
        steps.withLock { steps in
          steps.append(step)
          let lowest = steps.map(\.loss).min()!
          return step.loss > 4 * lowest ? .stop : .proceed
        }
      })
    {}
    let rate = steps.withLock { $0.min { $0.loss < $1.loss }! }.learningRate / 10

    let all = steps.withLock(\.self)
    #expect(all.count > 50 && all.count < 300)
    #expect(all.dropLast().allSatisfy { step in step.loss <= 4 * all[..<step.number].map(\.loss).min()! })
    #expect(rate > 1e-3 && rate < 10)
  }

  @Test func `has a loss and an activation of one's own`() throws {
    let quantile = LossFunction<Float> { outputs, targets, columns in
      let d = zip(targets, outputs).map { $0 - $1 }
      return (losses: d.map { Double(max(0.9 * $0, -0.1 * $0)) }, gradient: d.map { $0 > 0 ? -0.9 : 0.1 })
    }
    let square = CustomActivation(
      "square", function: { $0.map { $0 * $0 } }, derivative: { $0.map { 2 * $0 } })
    let regression = try Network<Float>(inputs: 1, seed: 1) {
      Dense(8)
      square
      Dense(1)
    }
    let quantiles = try Trainer(regression, loss: quantile)

    // Of targets 0 … 9 at one place, the 0.9 quantile is 9, to where the loss is flat.
    let data = try Dataset<Float>(features: (0..<10).map { _ in [1] }, targets: (0..<10).map { [Float($0)] })
    for _ in 0..<3000 { try quantiles.step(data) }
    let prediction = try regression.predict([1])[0]
    #expect(prediction > 7.9 && prediction < 9.1)
  }

  @Test func `goes on from a checkpoint`() async throws {
    let (train, test) = try Dataset<Float>.iris.split(holdingOut: 0.2, seed: 1)
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let checkpoints = Checkpoints(in: folder, every: .epochs(5), keeping: 3)
    for count in [6, 12] {
      let network = try Network<Float>(inputs: train.inputs, seed: 1) {
        Dense(8, activation: .tanh)
        Dense(train.outputs, activation: .softmax)
      }
      let trainer = try Trainer(network, loss: .crossEntropy)
      let epochs = trainer.epochs(
        count, on: train, validating: test, patience: 10, checkpoints: checkpoints,
        resuming: try checkpoints.newest())
      for try await epoch in epochs { #expect(count == 6 || epoch.number > 6) }
      #expect(trainer.completedEpochs == count)
    }
  }
}
