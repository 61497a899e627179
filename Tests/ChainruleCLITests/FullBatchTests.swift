import Chainrule
import Foundation
import Testing

@Suite("chainrule train --full-batch")
struct FullBatchTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    let rows = (0..<60).map { "\(Double($0) / 20),\(sin(Double($0) / 8))\n" }
    try place.write("x,y\n" + rows.joined(), to: "sine.csv")
  }

  private func train(_ options: String) throws -> Ended {
    try place.chainrule(
      "train sine.csv --preset plain --hidden 6 --activation tanh --scalar float64 \(options)".split(
        separator: " "
      ).map(
        String.init))
  }

  @Test(arguments: FullBatchMethod.allCases)
  func `trains the network that the library trains, bit for bit`(method: FullBatchMethod) async throws {
    let run = try train(
      "--full-batch \(method.name) --iterations 30 --validation 0 --seed 3 --save m --quiet")
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(run.output.contains("  meanSquaredError, \(method.name), at most 30 iterations, seed 3"))

    let data = try Dataset<Double>(csvFile: place.url("sine.csv").path)
    let network = try Network<Double>(inputs: 1, seed: 3) {
      Dense(6, activation: .tanh)
      Dense(1)
    }
    let minimum = try await network.minimize(data, method: method, iterations: 30)
    #expect(run.output.contains("result      \(minimum.iterations) iterations in "))
    guard case .float64(let saved) = try SavedModel(contentsOf: place.url("m").path) else {
      Issue.record("float64 was asked for")
      return
    }
    for layer in 0..<2 {
      #expect(try saved.parameters(ofLayer: layer) == network.parameters(ofLayer: layer))
    }
  }

  @Test func `by default, features and targets are scaled by layers that no method moves`() throws {
    let run = try place.chainrule(
      "train", "sine.csv", "--full-batch", "lbfgs", "--iterations", "20", "--validation", "0", "--hidden",
      "5",
      "--save", "m", "--quiet")
    #expect(run.output.contains("  1 → scaling → 5 tanh → 1 identity → targets scaled, float32\n"))
    guard case .scaling(let scaling)? = try Model<Float>(contentsOf: place.url("m")).layers.first else {
      Issue.record("the first layer scales nothing")
      return
    }
    // The mean of 0, 1/20 … 59/20
    #expect(abs(scaling.mean[0] - 59.0 / 40) < 1e-6)
  }

  @Test func `tells of each iteration, on standard error and in the log, and what ended it`() throws {
    let run = try train(
      "--full-batch levenbergMarquardt --iterations 2000 --gradient-tolerance 0.001 --log run.jsonl")
    #expect(run.status == 0)
    #expect(run.output.contains("; the gradient is within its tolerance"))
    #expect(run.output.contains("held out  MAE"))
    let progress = run.errors.split(separator: "\n")
    let log = try jsonLines(place.read("run.jsonl"))
    #expect(progress.first?.hasPrefix("iteration 1/2000  loss ") == true)
    #expect(log.count == progress.count && log.count > 1)
    #expect(log.compactMap { $0["iteration"] as? Int } == Array(1...log.count))
    #expect(Set(log[0].keys) == ["iteration", "loss", "seconds"])
    let losses = log.compactMap { $0["loss"] as? Double }
    #expect(zip(losses, losses.dropFirst()).allSatisfy { $1 <= $0 })
  }

  @Test func `ends after the iteration that goes below the loss asked for`() throws {
    let run = try train("--full-batch lbfgs --until-loss 0.1 --log run.jsonl --quiet")
    #expect(run.output.contains(", below 0.1\n"))
    let losses = try jsonLines(place.read("run.jsonl")).compactMap { $0["loss"] as? Double }
    #expect(try #require(losses.last) < 0.1)
    #expect(losses.dropLast().allSatisfy { $0 >= 0.1 })
  }

  @Test func `trains a network for each fold`() throws {
    let run = try train("--full-batch bfgs --iterations 5 --folds 3 --log run.jsonl --quiet")
    #expect(run.status == 0)
    #expect(run.output.contains("mean      R² "))
    let folds = try jsonLines(place.read("run.jsonl")).compactMap { $0["fold"] as? Int }
    #expect(Set(folds) == [1, 2, 3] && folds == folds.sorted())
  }

  @Test func `stops at Ctrl-C, saves the best and exits 130`() throws {
    let run = try place.start([
      "train", "digits", "--full-batch", "lbfgs", "--iterations", "1000000", "--gradient-tolerance", "0",
      "--step-tolerance", "0", "--loss-tolerance", "0", "--hidden", "64", "--save", "m",
    ])
    let end = Date(timeIntervalSinceNow: 60)
    while try !run.errors.contains("iteration 20/") {
      try #require(run.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.01)
    }
    run.process.interrupt()
    let ended = try run.wait()
    #expect(ended.status == 130)
    #expect(ended.output == "model  saved in m\n")
    #expect(ended.errors.contains("chainrule: interrupted after "))
    #expect(ended.errors.hasSuffix(" iterations\n"))
    let evaluated = try place.chainrule("evaluate", "m", "digits", "--json").objects.first
    #expect(try #require(evaluated?["accuracy"] as? Double) > 0.5)
  }

  @Test func `keeps the log of before where the method refuses`() throws {
    try place.write("before", to: "run.jsonl")
    let run = try train("--full-batch levenbergMarquardt --loss huber --log run.jsonl")
    #expect(run.status == 64)
    #expect(try place.read("run.jsonl") == "before")
    #expect(try train("--full-batch lbfgs --iterations 2 --log nowhere/run.jsonl").status == 1)
  }
}
