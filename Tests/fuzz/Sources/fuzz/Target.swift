import Chainrule
import ChainruleExplain
import ChainruleExport
import Foundation

/// A file reader. For any bytes it must return or throw, in time and memory proportional to them.
///
/// Two readers of the same format must give the same result.
enum Target: String, CaseIterable {
  case model, checkpoint, safetensors, onnx, csv, idx, npy, npz, fann, gz, step

  /// The target. A global, because libFuzzer calls a C function, which captures nothing. Set once, before
  /// fuzzing.
  nonisolated(unsafe) static var chosen = Target.model

  func take(_ bytes: [UInt8]) {
    do {
      switch self {
      case .model: try Self.model(bytes)
      case .checkpoint: try Self.checkpoint(bytes)
      case .safetensors: try Self.safetensors(bytes)
      case .onnx: try Self.predict(with: SavedModel(onnxBytes: Data(bytes)))
      case .csv: try Self.csv(bytes)
      case .idx: try Self.idx(bytes)
      case .npy: try Self.npy(bytes)
      case .npz: try Self.npz(bytes)
      case .fann: try Self.fann(bytes)
      case .gz: try Self.gz(bytes)
      case .step: try Self.step(bytes)
      }
    } catch {
      precondition(!"\(error)".isEmpty)
    }
  }
}

extension Target {
  private static func model(_ bytes: [UInt8]) throws {
    try predict(with: SavedModel(contentsOf: File.path(holding: bytes)))
  }

  /// Restores a trainer, which then takes a step, also if the checkpoint was refused.
  private static func checkpoint(_ bytes: [UInt8]) throws {
    let network = try Network<Float>(inputs: 2, seed: 1) { Dense(1, activation: .tanh) }
    let trainer = try Trainer(
      network, loss: .meanSquaredError, optimizer: .sgd(learningRate: 0.1, momentum: 0.9))
    let row = try Dataset<Float>(features: [[1, 2]], targets: [[0.5]])
    defer { _ = try? trainer.step(row) }
    try trainer.restoreCheckpoint(from: File.path(holding: bytes))
  }

  /// The first byte is the number of layers.
  private static func safetensors(_ bytes: [UInt8]) throws {
    let activations = [Activation](repeating: .tanh, count: Int(bytes.first ?? 0) % 8)
    let path = File.path(holding: [UInt8](bytes.dropFirst()))
    try predict(with: SavedModel(safetensors: path, activations: activations))
  }

  private static func predict(with saved: SavedModel) throws {
    func predict<Scalar: NetworkScalar>(with model: Model<Scalar>) throws {
      guard model.inputs <= 1 << 12 else { return }
      let outputs = try model.predict([Scalar](repeating: 0, count: model.inputs))
      precondition(outputs.count == model.outputs)
    }
    switch saved {
    case .float32(let model): try predict(with: model)
    case .float64(let model): try predict(with: model)
    }
  }

  /// The first byte selects the reading options.
  private static func csv(_ bytes: [UInt8]) throws {
    let choice = Int(bytes.first ?? 0)
    func one<Choice>(of choices: [Choice], _ place: Int) -> Choice { choices[choice / place % choices.count] }
    let isPlain = choice < 128
    var options = isPlain ? CSVOptions() : .anyTable()
    options.header = one(of: CSVOptions.Header.allCases, 1)
    options.delimiter = one(of: [",", ";", "\t", " "], 3)
    options.task = one(of: CSVOptions.LearningTask.allCases, 12)
    if choice >= 192 {
      options.categorical = ["1"]
      options.missing = one(of: [.mean, .median, .mostFrequent], 36)
      options.skipsBadRows = choice % 2 == 1
    }
    let text = [UInt8](bytes.dropFirst())
    let whole = try Dataset<Double>(csv: CSVTable(bytes: text, options: options))

    // Parts of 16 bytes; a row may span 16 parts.
    let lines = text.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    guard !text.contains(UInt8(ascii: "\"")), lines.allSatisfy({ $0.count < 200 }) else { return }
    let path = File.path(holding: text)
    let parts = try Dataset(CSVSource<Double>(file: path, options: options, chunk: 16))
    precondition(!isPlain || parts == whole)
  }

  private static func idx(_ bytes: [UInt8]) throws {
    let path = File.path(holding: bytes)
    let file = try IDXFile(file: path)
    _ = try file.values(as: Float.self)
    guard bytes.count <= 400 else { return }  // a label becomes a row of up to 65,536 targets
    let whole = try Dataset<Double>(idxImages: path, labels: path)
    let parts = try Dataset(IDXSource<Double>(images: path, labels: path))
    precondition(parts == whole)
  }

  private static func npy(_ bytes: [UInt8]) throws {
    let path = File.path(holding: bytes)
    let array = try NumPyArray(file: path)
    _ = try array.values(as: Float.self)
    let whole = try Dataset<Double>(features: array, targets: array, task: .regression)
    let parts = try Dataset(NumPySource<Double>(features: path, targets: path))
    precondition(parts == whole)
  }

  private static func npz(_ bytes: [UInt8]) throws {
    let archive = try NumPyArchive(DataFile(bytes: bytes, format: .npz))
    for name in archive.names {
      do {
        _ = try Dataset<Float>(table: archive.array(name))
      } catch {
        precondition(!"\(error)".isEmpty)
      }
    }
    if case let (x, y?) = try archive.arrays() {
      _ = try Dataset<Float>(features: x, targets: y, task: .classification)
    }
  }

  private static func fann(_ bytes: [UInt8]) throws {
    _ = try Dataset<Double>(fann: FANNFile(DataFile(bytes: bytes, format: .fann)))
  }

  /// A file of any format, plain or compressed, read whole and in pieces.
  private static func gz(_ bytes: [UInt8]) throws {
    let file = try DataFile(bytes: bytes)
    let path = File.path(holding: bytes)
    switch file.format {
    case .csv:
      let options = CSVOptions(skipsBadRows: true)
      _ = try Dataset<Float>(csv: CSVTable(file, options: options))
      _ = try Dataset(CSVSource<Float>(file: path, options: options, chunk: 64))
    case .idx:
      _ = try IDXFile(file).values(as: Float.self)
    case .npy:
      _ = try NumPyArray(file).values(as: Float.self)
      _ = try Dataset(NumPySource<Float>(features: path, targets: path))
    case .npz:
      _ = try NumPyArchive(file)
    case .fann:
      _ = try Dataset<Float>(fann: FANNFile(file))
    }
  }

  private static func step(_ bytes: [UInt8]) throws {
    for file in try StepFile.all(json: Data(bytes)) {
      let explanation = try Explanation(file)
      precondition(!TextRendering()(explanation).isEmpty)
      _ = try JSONEncoder().encode(explanation)
    }
  }
}

/// A file in memory, reused for every input.
private enum File {
  private static let descriptor: CInt = {
    let name = "/chainrule-fuzz-\(getpid())"
    let descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
    precondition(descriptor >= 0 && shm_unlink(name) == 0)
    return descriptor
  }()

  static func path(holding bytes: [UInt8]) -> String {
    precondition(ftruncate(descriptor, 0) == 0)
    precondition(bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) } == bytes.count)
    return "/proc/self/fd/\(descriptor)"
  }
}
