import ArgumentParser
import Chainrule
import Foundation

@main
struct MNIST: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnist",
    abstract: "Train 784-512-256-10 on MNIST; print the time and the accuracy on the test images.",
    discussion:
      "relu hidden layers, softmax, cross-entropy, Adam with learning rate 0.001, batches of 128.")

  @Argument(help: "The folder with MNIST's four IDX files, plain or .gz.")
  var folder: String

  @Option(help: ArgumentHelp("The number of threads.", valueName: "count"))
  var threads = 2

  @Option(help: ArgumentHelp("The number of epochs.", valueName: "count"))
  var epochs = 10

  @Option(help: ArgumentHelp("The number of runs, with the seeds 1, 2, …", valueName: "count"))
  var seeds = 3

  func validate() throws {
    guard threads >= 1, epochs >= 1, seeds >= 1 else {
      throw ValidationError("expected counts of at least 1")
    }
  }

  func run() throws {
    let clock = ContinuousClock()
    var read: (train: Dataset<Float>, test: Dataset<Float>)?
    let reading = try clock.measure { read = (try dataset("train"), try dataset("t10k")) }
    let (train, test) = read!
    print("read \(train.rows) + \(test.rows) images in \(decimals(3, reading / .seconds(1))) s")
    print("784-512-256-10, threads: \(threads), epochs: \(epochs)\n")

    var trained = Duration.zero
    var accuracies: [[Double]] = []
    for seed in 1...UInt64(seeds) {
      let network = try Network<Float>(inputs: train.inputs, seed: seed) {
        Dense(512, activation: .relu)
        Dense(256, activation: .relu)
        Dense(10, activation: .softmax)
      }
      let trainer = try Trainer(
        network, loss: .crossEntropy, optimizer: .adam(learningRate: 0.001),
        options: TrainerOptions(seed: seed, threads: threads))
      accuracies.append([])
      for epoch in 1...epochs {
        var loss = 0.0
        let time = try clock.measure { loss = try trainer.epoch(on: train, batchSize: 128) }
        let accuracy = try network.evaluate(test).accuracy
        trained += time
        accuracies[accuracies.endIndex - 1].append(accuracy)
        print(
          "seed \(seed)  epoch \(epoch)  \(decimals(3, time / .seconds(1))) s  loss \(decimals(5, loss))  "
            + "accuracy \(decimals(2, 100 * accuracy)) %")
      }
    }

    let last = max(epochs - 2, 1)...epochs
    let mean = accuracies.flatMap { $0[(last.lowerBound - 1)..<last.upperBound] }.mean
    print(
      """

      \(decimals(3, trained / .seconds(1) / Double(epochs * seeds))) s an epoch
      \(decimals(2, 100 * mean)) % mean accuracy, epochs \(last.lowerBound) to \(last.upperBound), \
      seeds 1 to \(seeds)
      """)
  }

  private func dataset(_ part: String) throws -> Dataset<Float> {
    try Dataset(idxImages: file("\(part)-images-idx3-ubyte"), labels: file("\(part)-labels-idx1-ubyte"))
  }

  private func file(_ name: String) -> String {
    let path = "\(folder)/\(name)"
    return FileManager.default.fileExists(atPath: path) ? path : path + ".gz"
  }

  private func decimals(_ count: Int, _ value: Double) -> String { String(format: "%.\(count)f", value) }
}

extension [Double] {
  fileprivate var mean: Double { reduce(0, +) / Double(count) }
}
