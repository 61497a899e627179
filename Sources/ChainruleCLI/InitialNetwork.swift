import ArgumentParser
import Chainrule
import ChainruleExplain
import Foundation

/// The network that --initial-weights names, with which training begins.
struct InitialNetwork {
  let path: String
  let saved: SavedModel

  /// Reads a model, or the network of a step file, which begins as JSON does.
  init(readingFrom path: String) throws {
    self.path = path
    guard try Self.isText(path) else {
      saved = try savedModel(at: path)
      return
    }
    do {
      let files = try StepFile.all(json: Data(contents(ofFile: path)))
      guard let file = files.first, files.count == 1 else {
        throw Failure(
          message:
            "\(path): this file has \(files.count) steps; expected a file with one step, whose network training starts from",
          exitCode: .badData)
      }
      switch try file.scalarType {
      case .float32: saved = .float32(try Model(Network<Float>(file)))
      case .float64: saved = .float64(try Model(Network<Double>(file)))
      }
    } catch let error as StepFileError {
      throw Failure(message: "\(path): \(error)", exitCode: .badData)
    }
  }

  /// Its parameters rounded, or widened, to `Scalar`.
  func model<Scalar: NetworkScalar>(as _: Scalar.Type) throws -> Model<Scalar> {
    switch saved {
    case .float32(let model): try Model(model)
    case .float64(let model): try Model(model)
    }
  }

  private static func isText(_ path: String) throws(ChainruleError) -> Bool {
    guard let file = FileHandle(forReadingAtPath: path) else { return false }  // The core says why.
    let first = (try? file.read(upToCount: 64)) ?? Data()
    return first.first { !" \t\r\n".utf8.contains($0) } == UInt8(ascii: "{")
  }
}

extension NetworkArguments {
  /// The options that describe a network, and whether each is given.
  private var describing: [(String, Bool)] {
    [
      ("--hidden", hidden != nil), ("--activation", activation != nil),
      ("--output-activation", outputActivation != nil), ("--normalization", normalization != nil),
      ("--dropout", dropout != nil), ("--residual", residual), ("--standardize", standardize != nil),
      ("--scale-targets", scaleTargets != nil), ("--no-bias", noBias), ("--initializer", initializer != nil),
    ]
  }

  /// Refuses what does not go with a network that there is already.
  func checkInitialWeights(_ partition: PartitionArguments, _ streaming: StreamArguments)
    throws(ValidationError)
  {
    guard initialWeights != nil else { return }
    if let (option, _) = describing.first(where: \.1) {
      throw ValidationError(
        "\(option) and --initial-weights cannot be combined: the file has the whole network")
    }
    if partition.folds != nil {
      throw ValidationError(
        "--folds and --initial-weights cannot be combined: the network may have been trained on the validation rows"
      )
    }
    if streaming.stream { throw ValidationError("--stream and --initial-weights cannot be combined") }
  }
}

extension Model {
  /// Whether the model says which columns of a table it takes, or which classes it predicts.
  var knowsItsColumns: Bool { tableEncoding != nil || featureNames != nil || classLabels != nil }
}
