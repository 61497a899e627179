import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Chainrule

/// Where SciPy comes from the same starts: Tests/Fixtures/full-batch/problems.json, written by generate.py
/// beside it.
private struct Problem: Decodable {
  let units: [Int]
  let activations: [Activation]
  let loss: Loss
  let x: [Double]
  let y: [Double]
  let sampleWeights: [Double]?
  let start: [Double]
  let startLoss: Double
  let found: [String: Double]
  let evaluations: [String: Int]

  static let all: [Problem] = {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Fixtures/full-batch/problems.json")
    return try! JSONDecoder().decode([Problem].self, from: Data(contentsOf: path))
  }()

  func network() throws -> Network<Double> {
    let network = try Network<Double>(
      inputs: units[0], layers: zip(units.dropFirst(), activations).map { .dense(Dense($0, activation: $1)) })
    try network.setParameterVector(start)
    return network
  }

  var data: Dataset<Double> {
    get throws {
      try Dataset(
        features: x, targets: y, rows: x.count / units[0], inputs: units[0], outputs: units.last!,
        sampleWeights: sampleWeights)
    }
  }
}

private func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}

@Suite struct `Training on all rows at once` {
  /// The method, SciPy's name of its own, and the bound on the medians of our loss and of our evaluations
  /// over SciPy's. Valleys are long and minima many, so that single runs part.
  static let methods: [(FullBatchMethod, String, Double)] = [
    (.levenbergMarquardt(), "levenbergMarquardt", 1.01), (.fletcherReeves, "CG", 1.05),
    (.polakRibiere, "CG", 1.05), (.bfgs, "BFGS", 1.1), (.lbfgs(), "L-BFGS-B", 1.05),
  ]

  @Test(arguments: methods.indices)
  func `goes as far as SciPy from the same starts`(index: Int) async throws {
    let (method, name, bound) = Self.methods[index]
    var ours: [Double] = []
    var ratios: [Double] = []
    var efforts: [Double] = []
    for problem in Problem.all {
      let network = try problem.network()
      let data = try problem.data
      #expect(abs(try network.evaluate(data, loss: problem.loss).loss / problem.startLoss - 1) < 1e-12)
      let minimum = try await network.minimize(data, loss: problem.loss, method: method)
      let reached = try network.evaluate(data, loss: problem.loss).loss
      #expect(abs(minimum.loss - reached) <= 1e-12 * reached)
      #expect(minimum.loss < problem.startLoss)
      ours.append(minimum.loss)
      ratios.append(minimum.loss / (try #require(problem.found[name])))
      efforts.append(Double(minimum.evaluations) / Double(try #require(problem.evaluations[name])))
    }
    #expect(median(ratios) <= bound, "\(method.name): \(median(ratios))")
    #expect(median(efforts) <= bound, "\(method.name): \(median(efforts))")
    if case .levenbergMarquardt = method {
      let theirs = Problem.all.map { $0.found[name]! }
      #expect(median(ours) <= bound * median(theirs))
    }
  }

  func regression() throws -> (Network<Float>, Dataset<Float>) {
    let network = try Network<Float>(inputs: 2, seed: 1) {
      Dense(6, activation: .tanh)
      Dense(1)
    }
    var random = Random(state: 3)
    let x = random.matrix(80, 2, scale: 1)
    let data = try Dataset<Float>(
      features: x.map { $0.map { Float($0) } }, targets: x.map { [Float(sin(3 * $0[0]) * $0[1])] })
    return (network, data)
  }

  @Test func `tells of every iteration`() async throws {
    let (network, data) = try regression()
    let told = Mutex<[(Int, Double)]>([])
    let minimum = try await network.minimize(data, method: .levenbergMarquardt(), iterations: 12) {
      number, loss in
      told.withLock { $0.append((number, loss)) }
      return .proceed
    }
    let all = told.withLock { $0 }
    #expect(all.map(\.0) == Array(1...12))
    #expect(zip(all, all.dropFirst()).allSatisfy { $1.1 <= $0.1 })
    #expect(minimum.iterations == 12 && minimum.ending == .iterations && minimum.loss <= all.last!.1)
    #expect(abs(Double(try network.evaluate(data).loss) - minimum.loss) < 1e-5)
  }

  @Test(arguments: FullBatchMethod.allCases)
  func `ends after the iteration that is told to stop it`(method: FullBatchMethod) async throws {
    let (network, data) = try regression()
    let before = try network.evaluate(data).loss
    let bound = 0.8 * before
    let minimum = try await network.minimize(data, method: method) { _, loss in
      loss < bound ? .stop : .proceed
    }
    #expect(minimum.ending == .stopped && minimum.loss < bound)
    #expect(abs(try network.evaluate(data).loss - minimum.loss) < 1e-5)
    // Another run is none the wiser.
    #expect(try await network.minimize(data, method: method, iterations: 2).ending != .stopped)
  }

  @Test func `stops where its task is cancelled, with the best so far`() async throws {
    let (fresh, data) = try regression()
    let before = try fresh.evaluate(data).loss
    let (isUnderWay, begin) = AsyncStream.makeStream(of: Void.self)
    let task = Task { () -> (ChainruleError?, Double) in
      let network = try self.regression().0
      var thrown: ChainruleError?
      do throws(ChainruleError) {
        try await network.minimize(
          data, method: .fletcherReeves, iterations: 5000,
          tolerances: Tolerances(gradient: 0, step: 0, loss: 0)
        ) { iteration, _ in
          if iteration >= 3 { begin.yield() }
          if iteration >= 3 { Thread.sleep(forTimeInterval: 0.001) }
          return .proceed
        }
      } catch { thrown = error }
      begin.finish()
      return (thrown, try network.evaluate(data).loss)
    }
    for await _ in isUnderWay { break }
    task.cancel()
    let (error, after) = try await task.value
    #expect(error == .cancelled)
    #expect(after < before)
  }

  @Test func `refuses what it cannot do`() async throws {
    let (network, data) = try regression()
    func refused(
      _ method: FullBatchMethod, loss: Loss = .halfSquaredError, iterations: Int = 10
    ) async -> String {
      do throws(ChainruleError) {
        try await network.minimize(data, loss: loss, method: method, iterations: iterations)
        return "nothing"
      } catch {
        return "\(error)"
      }
    }
    #expect(await refused(.levenbergMarquardt(), loss: .huber).contains("sum of squares"))
    #expect(await refused(.levenbergMarquardt(memory: 100)).contains("its memory limit is 100 bytes"))
    #expect(await refused(.lbfgs(history: 0)).contains("history is 0; expected at least 1"))
    #expect(await refused(.bfgs, iterations: 0).contains("iterations is 0; expected at least 1"))
    #expect(await refused(.bfgs, loss: .crossEntropy).contains("softmax"))
    let other = try Dataset<Float>(features: [[1]], targets: [[1]])
    await #expect(throws: ChainruleError.shapeMismatch(what: "the data's features", expected: 2, actual: 1)) {
      try await network.minimize(other, method: .lbfgs())
    }
  }
}
