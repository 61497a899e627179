import ArgumentParser
import Chainrule
import Foundation

/// `chainrule bench`: how fast this machine trains and predicts.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast this machine trains and predicts.",
    discussion: """
      Times networks from tiny to large on synthetic data in memory. W1 to W7 train, one epoch at a time; I1 and I2 predict 1 \
      and 256 rows in a call. Each result is first checked against the pure-Swift reference (W6 is too large for it and is \
      checked against GSL); the exit status is 1 if they disagree.

      The table has the shortest and the median time. Gflop/s counts the matrix products only, two operations for each \
      multiply-add. The peak is the measured speed of fused multiply-adds on registers, before and after each workload. \
      Other programs on the machine make all of these numbers worse.

      --json prints one object for each workload: workload, threads, isa; msPerEpoch, msPerEpochMedian and usPerUpdate, or \
      usPerCall and usPerCallMedian; samplesPerSecond, gflops, percentOfPeak. For the peak: gflopsFloat32, gflopsFloat64.

        chainrule bench
        chainrule bench --workload W3 --workload I1 --threads 2 --json
      """)

  @Option(
    name: .customLong("workload"), parsing: .singleValue,
    help: ArgumentHelp(
      "A workload, or the beginning of names: W1 means W1a and W1b. May be repeated. Default: all of \(known).",
      valueName: "name"),
    transform: names(beginningWith:))
  var chosen: [[String]] = []

  @OptionGroup var threading: ThreadArguments

  @Option(
    help: ArgumentHelp("Seconds to time each workload, after one call to warm up.", valueName: "number"))
  var seconds = 1.0

  @OptionGroup var form: JSONArguments

  private var threads: Int { threading.threads }

  func validate() throws {
    try require("--seconds", seconds, "a number above 0") { $0 > 0 && $0.isFinite }
  }

  func run() throws {
    let names = chosen.isEmpty ? Self.names : chosen.flatMap(\.self)
    let peaks =
      !form.json || names.contains(Peak.name) ? Set([1, threads]).sorted().map(Peak.init(threads:)) : []
    try Output.write(form.json ? peaks.map { "\($0.json)\n" }.joined() : heading(peaks))
    for workload in Workload.all where names.contains(workload.name) {
      let measurement = try workload.measure(threads: threads, seconds: seconds)
      try Output.write(form.json ? "\(measurement.json)\n" : measurement.row)
    }
  }

  fileprivate static let names = [Peak.name] + Workload.all.map(\.name)
  private static let known = names.joined(separator: ", ")

  private static func names(beginningWith text: String) throws -> [String] {
    let found = text.isEmpty ? [] : names.filter { $0.hasPrefix(text) }
    guard !found.isEmpty else {
      throw ValidationError("expected one of \(known), or the beginning of such a name")
    }
    return found
  }

  private func heading(_ peaks: [Peak]) throws -> String {
    let kernelSet = try Network<Float>(inputs: 1, layers: [.dense(Dense(1))]).kernelSet
    let entries = peaks.map { (name: "peak of \(counted($0.threads, "thread"))", value: "\($0)") }
    return listing([("kernels", kernelSet)] + entries) + "\n" + Column.row { $0.title }
  }
}

// MARK: - For people

/// The columns of the table. Their widths are fixed, so that each row can be shown as soon as it is measured.
private enum Column: CaseIterable {
  case workload, network, batch, least, median, update, samples, operations, peak

  var title: String {
    switch self {
    case .workload: "workload"
    case .network: "network"
    case .batch: "batch"
    case .least: "least"
    case .median: "median"
    case .update: "update"
    case .samples: "samples/s"
    case .operations: "Gflop/s"
    case .peak: "of peak"
    }
  }

  private var width: Int {
    switch self {
    case .workload, .operations, .peak: 8
    case .network: 25
    case .batch: 5
    case .least, .median, .update, .samples: 10
    }
  }

  static func row(_ cell: (Column) -> String) -> String {
    let cells = allCases.map { column in
      let cell = cell(column)
      let space = String(repeating: " ", count: max(column.width - cell.count, 0))
      return column == .workload || column == .network ? cell + space : space + cell
    }
    return cells.joined(separator: "  ") + "\n"
  }
}

extension Measurement {
  fileprivate var row: String {
    Column.row { column in
      switch column {
      case .workload: workload.name
      case .network: "\(workload)"
      case .batch: "\(workload.batchSize)"
      case .least: time(least)
      case .median: time(median)
      case .update: secondsPerUpdate.map(time) ?? "–"
      case .samples: String(format: "%.0f", samplesPerSecond)
      case .operations: short(operationsPerSecond / 1e9)
      case .peak: percent(operationsPerSecond / peak)
      }
    }
  }
}

/// "1.93 ms"
private func time(_ seconds: Double) -> String {
  seconds < 1e-3
    ? "\(short(seconds * 1e6)) µs" : seconds < 1 ? "\(short(seconds * 1e3)) ms" : "\(short(seconds)) s"
}

extension Peak: CustomStringConvertible {
  var description: String { "\(short(float32 / 1e9)) Gflop/s in float32, \(short(float64 / 1e9)) in float64" }
}

// MARK: - For machines

extension Measurement {
  fileprivate var json: JSON {
    let times: [(key: String, value: JSON?)] =
      if let secondsPerUpdate {
        [
          ("msPerEpoch", .number(least * 1e3)), ("msPerEpochMedian", .number(median * 1e3)),
          ("usPerUpdate", .number(secondsPerUpdate * 1e6)),
        ]
      } else {
        [("usPerCall", .number(least * 1e6)), ("usPerCallMedian", .number(median * 1e6))]
      }
    return .object(
      [
        ("workload", .string(workload.name)), ("threads", .integer(threads)), ("isa", .string(kernelSet)),
      ] + times + [
        ("samplesPerSecond", .number(samplesPerSecond)), ("gflops", .number(operationsPerSecond / 1e9)),
        ("percentOfPeak", .number(100 * operationsPerSecond / peak)),
      ])
  }
}

extension Peak {
  fileprivate var json: JSON {
    .object([
      ("workload", .string(Self.name)), ("threads", .integer(threads)),
      ("isa", .string(Network<Float>.kernelSets[0])),
      ("gflopsFloat32", .number(float32 / 1e9)), ("gflopsFloat64", .number(float64 / 1e9)),
    ])
  }
}
