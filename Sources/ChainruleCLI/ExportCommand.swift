import ArgumentParser
import Chainrule
import ChainruleONNX
import Foundation

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model in a form that other programs use.",
    usage: "chainrule export <model> --to <format> [options]",
    discussion: """
      C is one file in C99 without dependencies: the weights and one function, which predicts a row with the same \
      bits as the model and allocates nothing. With CHAINRULE_SELF_TEST defined it has a main that compares \
      predictions with those of the model.

        chainrule export iris.safetensors --to c --name classify_iris --output iris.c
        cc -O2 -DCHAINRULE_SELF_TEST iris.c -lm -o iris && ./iris

      ONNX is read by most runtimes: the network as it predicts, without its dropout, with the names of features, targets \
      and classes.

        chainrule export iris.safetensors --to onnx --output iris.onnx
      """)

  @Argument(help: "A model file that \"chainrule train --save\" wrote.")
  var model: String

  @Option(name: .customLong("to"), help: "The form to write.")
  var format: ExportFormat

  @Option(
    help: ArgumentHelp(
      "Write to this file in place of standard output; it is replaced only once all is there.",
      valueName: "file"))
  var output: String?

  @Option(help: ArgumentHelp("What the C function is called. (default: predict)", valueName: "identifier"))
  var name: String?

  func run() throws {
    if format != .c, name != nil {
      throw ValidationError("--name is of a C function; expected --to c with it")
    }
    try checkFiles(reading: ["<model>": model], writing: ["--output": output])
    let model = try savedModel(at: model)
    switch format {
    case .c: try export(c: model)
    case .onnx: try export(onnx: model)
    }
  }

  private func export(onnx model: SavedModel) throws {
    let bytes =
      switch model {
      case .float32(let model): try model.exportONNX()
      case .float64(let model): try model.exportONNX()
      }
    if let output { try replaceFile(at: output, with: bytes) } else { try Output.write(bytes) }
  }

  private func export(c model: SavedModel) throws {
    let name = name ?? "predict"
    let text = try asUsage(of: "--name") { () throws(ChainruleError) in
      switch model {
      case .float32(let model): try model.exportC(named: name)
      case .float64(let model): try model.exportC(named: name)
      }
    }
    if let output { try replaceFile(at: output, with: Data(text.utf8)) } else { try Output.write(text) }
  }
}

/// A form in which other programs take a model.
enum ExportFormat: String, CaseIterable, ExpressibleByArgument {
  /// A source file in C99.
  case c
  /// A graph of opset 17.
  case onnx
}
