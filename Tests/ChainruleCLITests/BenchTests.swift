import Chainrule
import Foundation
import Testing

@testable import ChainruleCLI

@Suite("chainrule bench")
struct BenchTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private func bench(_ arguments: String...) throws -> Ended {
    let run = try place.chainrule(["bench", "--seconds", "0.02"] + arguments)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.isEmpty)
    return run
  }

  private func numbers(_ object: [String: Any]) -> [String: Double] {
    object.compactMapValues { $0 as? Double }
  }

  /// The programs that are not part of the command line read Benchmarks/workloads.json.
  @Test func `has the workloads that the other benchmarks have`() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../../Benchmarks/workloads.json")
    let all = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    let listed = ["train", "predict"].reduce(into: [:]) { listed, kind in
      listed.merge(all[kind] as? [String: [String: Any]] ?? [:]) { first, _ in first }
    }
    #expect(Set(Workload.all.map(\.name)) == Set(listed.keys))
    for workload in Workload.all {
      let other = try #require(listed[workload.name])
      #expect(other["layers"] as? [Int] == workload.widths)
      #expect((other["batch"] ?? other["rows"]) as? Int == workload.batchSize)
      #expect(other["samples"] as? Int == (workload.training == nil ? nil : workload.rows))
    }
  }

  @Test func `tells how fast training was, an object a workload`() throws {
    let objects = try bench("--workload", "W2", "--workload", "W1a", "--json").objects
    #expect(objects.compactMap { $0["workload"] as? String } == ["W1a", "W2"])
    for object in objects {
      #expect(Network<Float>.kernelSets.contains(try #require(object["isa"] as? String)))
      #expect(object["threads"] as? Int == 1)
      let numbers = numbers(object)
      #expect(
        Set(numbers.keys) == [
          "threads", "msPerEpoch", "msPerEpochMedian", "usPerUpdate", "samplesPerSecond", "gflops",
          "percentOfPeak",
        ])
      #expect(numbers.values.allSatisfy { $0.isFinite && $0 > 0 })
      #expect(numbers["msPerEpoch"]! <= numbers["msPerEpochMedian"]!)
      #expect(numbers["percentOfPeak"]! < 100)
    }
    // 4000 rows, an update each.
    let (epoch, update) = (numbers(objects[0])["msPerEpoch"]!, numbers(objects[0])["usPerUpdate"]!)
    #expect(abs(epoch / update - 4) < 1e-9)
  }

  @Test func `tells how fast predicting was, in the one thread that asks for it`() throws {
    let objects = try bench("--workload", "I1s", "--workload", "I2s", "--threads", "2", "--json").objects
    #expect(objects.compactMap { $0["workload"] as? String } == ["I1s", "I2s"])
    for (object, rows) in zip(objects, [1.0, 256]) {
      #expect(object["threads"] as? Int == 1)
      let numbers = numbers(object)
      #expect(
        Set(numbers.keys) == [
          "threads", "usPerCall", "usPerCallMedian", "samplesPerSecond", "gflops", "percentOfPeak",
        ])
      #expect(numbers.values.allSatisfy { $0.isFinite && $0 > 0 })
      #expect(numbers["usPerCall"]! <= numbers["usPerCallMedian"]!)
      #expect(abs(numbers["usPerCall"]! * numbers["samplesPerSecond"]! / rows - 1e6) < 1)
    }
  }

  @Test func `tells the peak of one thread and of those asked for`() throws {
    let objects = try bench("--workload", "peak", "--threads", "2", "--json").objects
    #expect(objects.compactMap { $0["threads"] as? Int } == [1, 2])
    for object in objects {
      #expect(object["workload"] as? String == "peak")
      #expect(object["isa"] as? String == Network<Float>.kernelSets[0])
      let numbers = numbers(object)
      #expect(Set(numbers.keys) == ["threads", "gflopsFloat32", "gflopsFloat64"])
      #expect(numbers.values.allSatisfy { $0.isFinite && $0 > 0 })
    }
  }

  @Test func `takes the beginning of a name for all that begin so`() throws {
    let objects = try bench("--workload", "I2", "--json").objects
    #expect(objects.compactMap { $0["workload"] as? String } == ["I2s", "I2m"])
  }

  @Test func `shows people a table below the peak`() throws {
    let run = try bench("--workload", "W1a", "--workload", "I1s", "--threads", "2")
    #expect(run.lines.count == 6)
    #expect(run.lines[1].contains("peak of 1 thread "))
    #expect(run.lines[2].contains("peak of 2 threads"))
    let table = run.lines.suffix(3)
    #expect(Set(table.map(\.count)).count == 1, "the columns are aligned")
    #expect(table.map { $0.prefix { $0 != " " } } == ["workload", "W1a", "I1s"])
    #expect(run.output.contains("64 → 128 → 64 → 10"))
  }
}

@Suite struct `A workload` {
  private func workload(_ name: String) throws -> Workload {
    try #require(Workload.all.first { $0.name == name })
  }

  @Test func `counts the operations of its products`() throws {
    // Two a multiply-add; z and ∂L/∂W in the first layer, δ too in the others; z alone in a prediction.
    #expect(try workload("W4").operationsPerRow == Double(2 * (2 * 784 * 128 + 3 * 128 * 10)))
    #expect(try workload("I1s").operationsPerRow == Double(2 * (64 * 128 + 128 * 64 + 64 * 10)))
    #expect(try workload("W3").updates == 57)
    #expect(try workload("W1b").updates == 4000)
  }

  @Test func `has the same data in every run, of every kind`() throws {
    for name in ["W1a", "W2", "I2s"] {
      let workload = try workload(name)
      let data: Dataset<Float> = try workload.dataset()
      #expect(data == (try workload.dataset()))
      #expect(
        (data.rows, data.inputs, data.outputs) == (workload.rows, workload.inputs, workload.widths.last!))
    }
    let classes: Dataset<Double> = try workload("W2").dataset()
    #expect((0..<classes.rows).allSatisfy { classes[row: $0].targets.sorted() == [0, 0, 1] })
    let mean = classes.features.reduce(0, +) / Double(classes.features.count)
    let variance = classes.features.reduce(0) { $0 + $1 * $1 } / Double(classes.features.count)
    #expect(abs(mean) < 0.1 && abs(variance - 1) < 0.2)
  }

  @Test(arguments: ["W1a", "W1b", "W2", "I1s"])
  func `is refused where the core and the reference disagree`(name: String) throws {
    let workload = try workload(name)
    let data: Dataset<Float> = try workload.dataset()
    try workload.check(on: data, threads: 1)
    let failure = #expect(throws: Failure.self) {
      try workload.check(on: data, threads: 1) { $0.layers[1].weights[0][0] += 0.1 }
    }
    #expect(failure?.message.hasPrefix("\(name): the core disagrees with the reference: ") == true)
    #expect(failure?.exitCode == .failure)
    #expect(throws: Failure.self) {
      try workload.check(on: data, threads: 1) { $0.layers[0].bias![0] = .nan }
    }
  }
}
