import ArgumentParser
import Foundation
import Workloads

@main
struct Reference: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reference",
    abstract: "Time the pure-Swift reference on a workload in float32 and print one line of JSON.")

  @Argument(help: "A training workload, such as W3.")
  var workload: String

  @Option(help: ArgumentHelp("How many seconds to measure, after one warm-up epoch.", valueName: "number"))
  var seconds = 2.0

  func run() throws {
    guard let listed = try Workloads.read().train[workload] else {
      throw ValidationError("\(workload) is not a training workload; see Benchmarks/workloads.json")
    }
    var training = try ReferenceTraining(listed)
    let clock = ContinuousClock()
    var times = [clock.measure { training.trainEpoch() }]
    if times[0] < .seconds(2 * seconds) {
      let end = clock.now + .seconds(seconds)
      times = []
      while times.count < 3 || clock.now < end { times.append(clock.measure { training.trainEpoch() }) }
    }
    times.sort()
    let (best, median) = (times[0] / .milliseconds(1), times[times.count / 2] / .milliseconds(1))
    let updates = (listed.samples + listed.batch - 1) / listed.batch
    print(
      """
      {"peer": "reference", "workload": "\(workload)", "threads": 1, "msPerEpoch": \(best), \
      "msPerEpochMedian": \(median), "usPerUpdate": \(best * 1000 / Double(updates)), \
      "loss": \(training.loss), "repetitions": \(times.count)}
      """)
  }
}
