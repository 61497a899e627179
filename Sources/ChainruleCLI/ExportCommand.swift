import ArgumentParser
import Chainrule
import ChainruleExport
import Foundation

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model in a form that other programs use.",
    usage: "chainrule export <model> --to <format> [options]",
    discussion: """
      C is one file in C99, which is C++17 as well, without dependencies: the weights and one function, which predicts a \
      row with the same bits as the model and allocates nothing. With CHAINRULE_SELF_TEST defined it has a main that \
      compares predictions with those of the model. --header also writes the declaration of the function.

        chainrule export iris.safetensors --to c --name classify_iris --output iris.c --header iris.h
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

  @Option(help: ArgumentHelp("The name of the C function (default: predict).", valueName: "identifier"))
  var name: String?

  @Option(
    help: ArgumentHelp(
      "For C: also write a header for C and C++ with the function's declaration to this file.",
      valueName: "file"))
  var header: String?

  func run() throws {
    for (option, value) in [("--name", name), ("--header", header)] where format != .c && value != nil {
      throw ValidationError("\(option) is for C; expected --to c with it")
    }
    try checkFiles(reading: ["<model>": model], writing: ["--output": output, "--header": header])
    let model = try savedModel(at: model)
    switch format {
    case .c: try export(c: model)
    case .onnx: try export(onnx: model)
    }
  }

  private func export(onnx model: SavedModel) throws {
    switch model {
    case .float32(let model): try export(onnx: model)
    case .float64(let model): try export(onnx: model)
    }
  }

  private func export<Scalar>(onnx model: Model<Scalar>) throws(ChainruleError) {
    if let output { return try model.exportONNX(to: output) }
    try model.exportONNX { piece throws(ChainruleError) in try Output.write(Data(piece)) }
  }

  private func export(c model: SavedModel) throws {
    try asUsage(of: "--name") { () throws(ChainruleError) in
      switch model {
      case .float32(let model): try export(c: model)
      case .float64(let model): try export(c: model)
      }
    }
  }

  private func export<Scalar>(c model: Model<Scalar>) throws(ChainruleError) {
    let name = name ?? "predict"
    if let output { return try model.exportC(named: name, to: output, header: header) }
    if let header { try replaceFile(at: header, with: Data(try model.exportCHeader(named: name).utf8)) }
    try model.exportC(named: name) { piece throws(ChainruleError) in try Output.write(Data(piece)) }
  }
}

/// A form in which other programs take a model.
enum ExportFormat: String, CaseIterable, ExpressibleByArgument {
  /// A source file in C99.
  case c
  /// A graph of opset 17.
  case onnx
}
