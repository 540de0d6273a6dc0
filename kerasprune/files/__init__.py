"""Files read within bounds and written whole or not at all, and errors of the operating system as messages."""

from kerasprune.files.reading import is_file as is_file
from kerasprune.files.reading import is_folder as is_folder
from kerasprune.files.reading import parse_json as parse_json
from kerasprune.files.reading import path_of as path_of
from kerasprune.files.reading import read_json as read_json
from kerasprune.files.reading import read_rows as read_rows
from kerasprune.files.reading import read_text as read_text
from kerasprune.files.system_errors import DeniedError as DeniedError
from kerasprune.files.temporary_files import remove_strays as remove_strays
from kerasprune.files.writing import make_folder as make_folder
from kerasprune.files.writing import replace_when_done as replace_when_done
from kerasprune.files.writing import write_json as write_json
from kerasprune.files.writing import write_rows as write_rows
from kerasprune.files.writing import write_text as write_text
