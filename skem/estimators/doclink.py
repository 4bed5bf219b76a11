"""The link from a notebook's picture of an estimator to its page in the documentation."""

# Address of an estimator's page, "{name}" standing for its name; empty, as long as there is none, means no link.
DOC_LINK = ""


class DocLinkMixin:
    """Points scikit-learn's HTML representation at skem's documentation."""

    _doc_link_module = "skem"
    _doc_link_template = DOC_LINK

    def _doc_link_url_param_generator(self):
        return {"name": type(self).__name__}
