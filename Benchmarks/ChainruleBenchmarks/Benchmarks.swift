import Benchmark
import Chainrule
import Foundation
import Workloads

let benchmarks: @Sendable () -> Void = {
  for name in ["W1a", "W1b", "W2", "W3", "W4", "W5", "W6", "W7"] {
    for threads in [1, 2] {
      measure("Train \(name), an epoch, threads: \(threads)") {
        let workload = try Workloads.read().train[name]!
        return switch workload.scalar {
        case .float32: try epoch(of: workload, as: Float.self, threads: threads)
        case .float64: try epoch(of: workload, as: Double.self, threads: threads)
        }
      }
    }
  }
  measure("Train W2, an epoch, the pure-Swift reference") {
    var reference = try ReferenceTraining(Workloads.read().train["W2"]!)
    return { reference.trainEpoch() }
  }
  for name in ["I1s", "I1m", "I2s", "I2m"] {
    measure("Predict \(name)", calls: .kilo) { try prediction(of: Workloads.read().predict[name]!) }
  }
  measure("Read a CSV of 10,000 rows and 65 columns") {
    let text = csv(rows: 10_000, columns: 65)
    return { blackHole(try Dataset<Float>(csv: CSVTable(bytes: text))) }
  }
  measure("Save a model of 784-512-256-10") {
    let (model, path) = try modelFile(named: "saved")
    return { try model.save(to: path) }
  }
  measure("Load a model of 784-512-256-10") {
    let (model, path) = try modelFile(named: "loaded")
    try model.save(to: path)
    return { blackHole(try Model<Float>(contentsOf: path)) }
  }
}

/// The code to time, after its preparation.
private typealias Run = () throws -> Void

private func measure(
  _ name: String, calls: BenchmarkScalingFactor = .one, preparing prepare: @escaping () throws -> Run
) {
  Benchmark(
    name,
    configuration: .init(
      metrics: [.wallClock, .throughput], warmupIterations: 1, scalingFactor: calls,
      maxDuration: .seconds(2), maxIterations: 100_000)
  ) { benchmark, run in
    for _ in benchmark.scaledIterations { try run() }
  } setup: {
    try prepare()
  }
}

private func epoch<Scalar: NetworkScalar>(
  of workload: TrainingWorkload, as _: Scalar.Type, threads: Int
) throws -> Run {
  let data: Dataset<Scalar> = try workload.dataset()
  let trainer: Trainer<Scalar> = try workload.trainer(of: workload.network(), threads: threads)
  return { blackHole(try trainer.epoch(on: data, batchSize: workload.batch)) }
}

private func prediction(of workload: PredictionWorkload) throws -> Run {
  let model: Model<Float> = try workload.model()
  let features: [Float] = workload.features()
  var outputs = [Float](repeating: 0, count: workload.rows * model.outputs)
  var predictor = model.predictor(rows: workload.rows)
  return {
    try features.withUnsafeBufferPointer { features in
      try outputs.withUnsafeMutableBufferPointer { try predictor.predict(features, into: $0) }
    }
  }
}

/// Numbers with three decimals; the last column is a class.
private func csv(rows: Int, columns: Int) -> [UInt8] {
  var text = ""
  for row in 0..<rows {
    let numbers = (1..<columns).map { String(Double((row * 31 + $0 * 17) % 2000 - 1000) / 1000) }
    text += (numbers + ["class \(row % 10)"]).joined(separator: ",") + "\n"
  }
  return Array(text.utf8)
}

private func modelFile(named name: String) throws -> (model: Model<Float>, path: String) {
  let file = FileManager.default.temporaryDirectory
    .appendingPathComponent("chainrule-benchmark-\(name)-\(getpid()).safetensors")
  return (try Workloads.read().predict["I1m"]!.model(), file.path)
}
